"""From candidates to recommendations. The service is handed values and fetches nothing."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self, overload

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.settings import CARTED, PURCHASED, VIEWED, ProfileSettings
from realtime_pipeline.domain.recommendation.blending import Blend, Candidate, blended
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.neighbours import NeighbourSettings, ScoredProduct
from realtime_pipeline.domain.recommendation.ranking import Ranking, Visitor, disliked, ranked, weighted_by_rating
from realtime_pipeline.domain.recommendation.reasons import (
    Reason,
    ReasonKind,
    SeedAction,
    reason_in_words,
    seed_actions_in_words,
)
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats

NO_EXPOSURES: Final[Mapping[ProductId, int]] = MappingProxyType({})
NO_SEED_ACTIONS: Final[Mapping[ProductId, SeedAction]] = MappingProxyType({})
_ACTIONS: Final = {VIEWED: SeedAction.VIEWED, CARTED: SeedAction.CARTED, PURCHASED: SeedAction.BOUGHT}
SEEDS_NAMED_MAX: Final = 2
"""How many of the visitor's products a reason names."""
VIEW_WEIGHT: Final = 1
"""The weight of a look, where no more is known of what was done."""


@attrs.frozen
class Recommendation:
    """A product to show, how strongly, and why; `explanation` says the reason in words, `adjustments` which rules
    changed its score or place."""

    product: Product
    score: float
    reason: Reason
    explanation: str
    adjustments: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it; see `Product.as_dict` and `Reason.as_dict`.

        Example:
            {"product": {"product_id": "jug", ...}, "score": 4.0, "explanation": "you looked at A mug: ...",
            "adjustments": [],
             "reason": {"kind": "neighbours", ...}}
        """
        return {
            "product": self.product.as_dict(),
            "score": self.score,
            "explanation": self.explanation,
            "adjustments": list(self.adjustments),
            "reason": self.reason.as_dict(),
        }


@attrs.frozen
class Recommendations(Sequence[Recommendation]):
    """A list of recommendations, the best first, with what the rules have to say of it.

    `experiment` and `variant` say by which way of recommending it was made, where an experiment is going on.
    """

    items: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    experiment: str = ""
    variant: str = ""

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it; without an experiment, `experiment` and `variant` are None.

        Example:
            {"items": [{"product": {"product_id": "jug", ...}, "score": 4.0, ...}], "notes": [], "experiment": None,
             "variant": None}
        """
        return {
            "items": [one.as_dict() for one in self.items],
            "notes": list(self.notes),
            "experiment": self.experiment or None,
            "variant": self.variant or None,
        }

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Recommendation | Self:
        """One of them; or some, as a list that was made in the same way."""
        return attrs.evolve(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]


@attrs.frozen
class RecommendationSettings:
    """The recommender's settings. `repeat_seen` also recommends what the visitor saw in this very session, and what
    neighbours lead to by nothing but that product itself.

    Where the session is only starting, the products touched last before it count as earlier steps. `rules` hold for
    requests that bring none of their own.
    """

    neighbours: NeighbourSettings = attrs.Factory(NeighbourSettings)
    trending: TrendingSettings = attrs.Factory(TrendingSettings)
    blend: Blend = attrs.Factory(Blend)
    rules: ListRules = attrs.Factory(ListRules)
    categories: int = 3
    repeat_seen: bool = False

    def __attrs_post_init__(self) -> None:
        at_least(0, self)


@attrs.frozen
class RecommendationService:
    """Decides what to recommend: neighbours first, then what is trending where the customer looks, then where they are,
    then anywhere.

    A product starts with `prior_ratings` average ratings. By the weights of `profile` it is known what was done with
    the products of a session.
    """

    settings: RecommendationSettings
    prior_ratings: float = 5.0
    profile: ProfileSettings = attrs.Factory(ProfileSettings)
    _actions_by_weight: Mapping[int, SeedAction] = attrs.field(init=False)

    @_actions_by_weight.default
    def _touches_by_weight(self) -> Mapping[int, SeedAction]:
        """What a weight of a session's product says was done; none that two actions have."""
        weights = [self.profile.interest_weight(kind) for kind in _ACTIONS]
        touches = zip(weights, _ACTIONS.values(), strict=True)
        return {weight: touch for weight, touch in touches if weights.count(weight) == 1}

    def seed_products(self, customer: Customer, looking_at: Sequence[ProductId] = ()) -> dict[ProductId, int]:
        """The products to start from with the weight of what was done (never 0), the one touched last at the end.

        Those of the current session, after those touched last before it; `looking_at`, what the visitor has before
        them as the shop says, comes last.
        """
        last = self.settings.neighbours.last
        session = customer.current_session
        found = dict.fromkeys(customer.recent_products(last)[::-1], VIEW_WEIGHT)
        if session is not None:
            for product_id, (_, weight) in session.products.items():
                found.pop(product_id, None)
                found[product_id] = weight
        for product_id in looking_at:
            found[product_id] = max(VIEW_WEIGHT, found.pop(product_id, VIEW_WEIGHT))
        return {product_id: weight for product_id, weight in found.items() if weight}

    def seed_actions(
        self, product_ids: Collection[ProductId], customer: Customer, looking_at: Sequence[ProductId] = ()
    ) -> dict[ProductId, SeedAction]:
        """What a customer did with products that `seed_products` may start from.

        Of products from before the session only purchases are known; where two actions have the same weight, a session
        does not tell which of them it was.
        """
        session = customer.current_session
        of_session = session.products if session is not None else {}
        found = {}
        for product_id in product_ids:
            touch = SeedAction.BOUGHT if product_id in customer.bought else SeedAction.UNKNOWN
            touch = SeedAction.VIEWED if product_id in looking_at else touch
            if product_id in of_session:
                touch = self._actions_by_weight.get(of_session[product_id][1], touch)
            found[product_id] = touch
        return found

    def visitor(
        self, customer: Customer, looking_at: Sequence[ProductId] = (), shown: Mapping[ProductId, int] = NO_EXPOSURES
    ) -> Visitor:
        """What the ranking must know of a customer; `shown` says how often they were shown products, where they know
        better than the profile."""
        seen: frozenset[ProductId] = frozenset()
        if not self.settings.repeat_seen:
            session = customer.current_session
            seen = frozenset(looking_at) | frozenset(session.products if session is not None else ())
        known = {product_id: times for product_id, (times, _) in customer.shown.items()}
        return Visitor(seen, customer.bought.keys(), disliked(customer.reviewed), {**known, **shown})

    def from_neighbours(self, scored: Sequence[ScoredProduct]) -> list[Candidate]:
        """Turn what the neighbours lead to into candidates."""
        repeat = self.settings.repeat_seen
        return [
            Candidate(one.product_id, one.score, Reason(ReasonKind.NEIGHBOURS, one.sessions, one.via))
            for one in scored
            if repeat or one.via[0] != one.product_id
        ]

    def from_trending(
        self, trending: Sequence[TrendingProduct], category: str | None = None, country: str | None = None
    ) -> list[Candidate]:
        """Turn what is trending, in a category, in a country or anywhere, into candidates."""
        kind = ReasonKind.TRENDING if country is None else ReasonKind.TRENDING_IN_COUNTRY
        if category is not None:
            kind = ReasonKind.TRENDING_IN_CATEGORY
        return [
            Candidate(one.product_id, one.score, Reason(kind, one.actions, (), category, country)) for one in trending
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
        """Blend the sources, weigh products by their ratings, and choose by the rules."""
        candidates = weighted_by_rating(blended(sources, self.settings.blend), stats, rules, self.prior_ratings)
        return ranked(candidates, visitor, rules, products, limit, exhausted=exhausted)

    @staticmethod
    def popular(
        source: Sequence[Candidate], rules: ListRules, products: Mapping[ProductId, Product], limit: int
    ) -> Ranking:
        """Choose the first of one source, which is all that was asked for: whatever it is worth among others."""
        return ranked(blended([source], Blend()), Visitor(), rules, products, limit)

    def explain(
        self,
        ranking: Ranking,
        products: Mapping[ProductId, Product],
        seed_actions: Mapping[ProductId, SeedAction] = NO_SEED_ACTIONS,
    ) -> Recommendations:
        """Give each chosen product its description and its reason in words; see `touched`."""
        did: dict[tuple[ProductId, ...], str] = {}  # the products of a list have few reasons
        items = []
        for one in ranking.chosen:
            led_by = one.reason.because_of[:SEEDS_NAMED_MAX]
            if led_by not in did:
                did[led_by] = seed_actions_in_words(led_by, products, seed_actions)
            product = products.get(one.product_id) or Product(one.product_id)
            because = reason_in_words(one.reason, did[led_by])
            items.append(Recommendation(product, one.score, one.reason, because, one.adjustments))
        return Recommendations(tuple(items), ranking.notes)
