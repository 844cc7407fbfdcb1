"""RecommendationService: from candidates to explained recommendations. It is given values and reads no store."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.kinds import CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.blending import Blend, Candidate, blended
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.neighbours import ScoredProduct
from realtime_pipeline.domain.recommendation.ranking import Ranking, Visitor, disliked, ranked, weighted_by_rating
from realtime_pipeline.domain.recommendation.reasons import (
    Reason,
    ReasonKind,
    SeedAction,
    reason_in_words,
    seed_actions_in_words,
)
from realtime_pipeline.domain.recommendation.recommendations import Recommendation, Recommendations
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.recommendation.trending import TrendingProduct
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats

NO_EXPOSURES: Final[Mapping[ProductId, int]] = MappingProxyType({})
NO_SEED_ACTIONS: Final[Mapping[ProductId, SeedAction]] = MappingProxyType({})
_ACTIONS: Final = {VIEWED: SeedAction.VIEWED, CARTED: SeedAction.CARTED, PURCHASED: SeedAction.BOUGHT}
SEEDS_NAMED_MAX: Final = 2
"""How many seed products an explanation names."""
VIEW_WEIGHT: Final = 1
"""The weight of a seed product of which no action is known: that of a view."""


@attrs.frozen
class RecommendationService:
    """Decides what to recommend: products of neighbour sessions first, then what is trending in the customer's
    categories, in their country, and in the whole shop.

    `prior_ratings` is how many average ratings a product starts with. `profile` has the weights of actions, by which
    the service tells what was done with the products of a session.
    """

    settings: RecommendationSettings
    prior_ratings: float = 5.0
    profile: ProfileSettings = attrs.Factory(ProfileSettings)
    _actions_by_weight: Mapping[int, SeedAction] = attrs.field(init=False)

    @_actions_by_weight.default
    def _unique_weights(self) -> Mapping[int, SeedAction]:
        """Map the weights of a session's products to actions; a weight that two actions share tells nothing."""
        weights = [self.profile.interest_weight(kind) for kind in _ACTIONS]
        actions = zip(weights, _ACTIONS.values(), strict=True)
        return {weight: action for weight, action in actions if weights.count(weight) == 1}

    def seed_products(self, customer: Customer, looking_at: Sequence[ProductId] = ()) -> dict[ProductId, int]:
        """Return the seed products with the weight of the action (never 0), the last touched at the end.

        These are the products touched before the current session, then those of the session, then `looking_at`: the
        products on the visitor's screen, of which the log may have no event yet.
        """
        last = self.settings.neighbours.last
        session = customer.visits.current_session
        seeds = dict.fromkeys(customer.interests.recent_products(last)[::-1], VIEW_WEIGHT)
        if session is not None:
            for product_id, (_, weight) in session.products.items():
                seeds.pop(product_id, None)
                seeds[product_id] = weight
        for product_id in looking_at:
            seeds[product_id] = max(VIEW_WEIGHT, seeds.pop(product_id, VIEW_WEIGHT))
        return {product_id: weight for product_id, weight in seeds.items() if weight}

    def seed_actions(
        self, product_ids: Collection[ProductId], customer: Customer, looking_at: Sequence[ProductId] = ()
    ) -> dict[ProductId, SeedAction]:
        """Return what the customer did with seed products.

        The profile tells only purchases of products from before the current session. A session does not tell two
        actions of the same weight apart.
        """
        session = customer.visits.current_session
        of_session = session.products if session is not None else {}
        found = {}
        for product_id in product_ids:
            action = SeedAction.BOUGHT if product_id in customer.purchases.bought else SeedAction.UNKNOWN
            action = SeedAction.VIEWED if product_id in looking_at else action
            if product_id in of_session:
                action = self._actions_by_weight.get(of_session[product_id][1], action)
            found[product_id] = action
        return found

    def visitor(
        self, customer: Customer, looking_at: Sequence[ProductId] = (), shown: Mapping[ProductId, int] = NO_EXPOSURES
    ) -> Visitor:
        """Return what the ranking needs of a customer.

        Args:
            customer: the profile.
            looking_at: the products on the visitor's screen.
            shown: how often products were shown, where the shop knows better than the profile.
        """
        seen: frozenset[ProductId] = frozenset()
        if not self.settings.repeat_seen:
            session = customer.visits.current_session
            seen = frozenset(looking_at) | frozenset(session.products if session is not None else ())
        known = {product_id: times for product_id, (times, _) in customer.exposures.shown.items()}
        return Visitor(seen, customer.purchases.bought.keys(), disliked(customer.opinions.reviewed), {**known, **shown})

    def from_neighbours(self, scored: Sequence[ScoredProduct]) -> list[Candidate]:
        """Turn products of neighbour sessions into candidates."""
        repeat = self.settings.repeat_seen
        return [
            Candidate(product.product_id, product.score, Reason(ReasonKind.NEIGHBOURS, product.sessions, product.via))
            for product in scored
            if repeat or product.via[0] != product.product_id
        ]

    def from_trending(
        self, trending: Sequence[TrendingProduct], category: str | None = None, country: str | None = None
    ) -> list[Candidate]:
        """Turn what is trending in a category, in a country or in the whole shop into candidates."""
        kind = ReasonKind.TRENDING if country is None else ReasonKind.TRENDING_IN_COUNTRY
        if category is not None:
            kind = ReasonKind.TRENDING_IN_CATEGORY
        return [
            Candidate(product.product_id, product.score, Reason(kind, product.actions, (), category, country))
            for product in trending
        ]

    def rank(
        self,
        sources: Sequence[Sequence[Candidate]],
        visitor: Visitor,
        rules: ListRules,
        products: Mapping[ProductId, Product],
        stats: Mapping[ProductId, ProductStats],
        limit: int,
        *,
        exhausted: bool = True,
    ) -> Ranking:
        """Blend the sources, weight candidates by their ratings, and re-rank them by the rules; see `ranked`."""
        candidates = weighted_by_rating(blended(sources, self.settings.blend), stats, rules, self.prior_ratings)
        return ranked(candidates, visitor, rules, products, limit, exhausted=exhausted)

    @staticmethod
    def popular(
        source: Sequence[Candidate], rules: ListRules, products: Mapping[ProductId, Product], limit: int
    ) -> Ranking:
        """Rank one source alone, whatever weight the blend gives it."""
        return ranked(blended([source], Blend()), Visitor(), rules, products, limit)

    def explain(
        self,
        ranking: Ranking,
        products: Mapping[ProductId, Product],
        seed_actions: Mapping[ProductId, SeedAction] = NO_SEED_ACTIONS,
    ) -> Recommendations:
        """Describe each chosen candidate and write its reason in words; see `seed_actions`."""
        texts: dict[tuple[ProductId, ...], str] = {}  # many candidates of a list share their seeds
        items = []
        for candidate in ranking.chosen:
            seeds = candidate.reason.because_of[:SEEDS_NAMED_MAX]
            if seeds not in texts:
                texts[seeds] = seed_actions_in_words(seeds, products, seed_actions)
            product = products.get(candidate.product_id) or Product(candidate.product_id)
            explanation = reason_in_words(candidate.reason, texts[seeds])
            items.append(Recommendation(product, candidate.score, candidate.reason, explanation, candidate.adjustments))
        return Recommendations(tuple(items), ranking.notes)
