"""From candidates to recommendations. The service is handed values and fetches nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.recommendation.neighbours import NeighbourRules, Scored
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind, in_words
from realtime_pipeline.domain.recommendation.trending import Popular, TrendingRules
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product

LOOKED_AT: Final = 1
"""The weight of a look, where no more is known of what was done."""


@attrs.frozen
class Candidate:
    """A product that might be shown, with its score among those of its kind and why."""

    product_id: ProductId
    score: float
    reason: Reason


@attrs.frozen
class Recommendation:
    """A product to show, how strongly, and why; `because` says the reason in words."""

    product: Product
    score: float
    reason: Reason
    because: str


@attrs.frozen
class RecommendationRules:
    """The recommender's settings. `repeat_seen` also recommends what the visitor saw in this very session.

    Where the session is only starting, the products touched last before it count as earlier steps.
    """

    neighbours: NeighbourRules = attrs.Factory(NeighbourRules)
    trending: TrendingRules = attrs.Factory(TrendingRules)
    categories: int = 3
    repeat_seen: bool = False

    def __attrs_post_init__(self) -> None:
        at_least(0, self)


@attrs.frozen
class RecommendationService:
    """Decides what to recommend: neighbours first, then what is trending where the customer looks, then anywhere."""

    rules: RecommendationRules

    def interests(self, customer: Customer, looking_at: Sequence[ProductId] = ()) -> dict[ProductId, int]:
        """The products to start from with the weight of what was done, the one touched last at the end.

        Those of the current session, after those touched last before it; `looking_at`, what the visitor has before
        them as the shop says, comes last.
        """
        last = self.rules.neighbours.last
        session = customer.current_session
        found = dict.fromkeys(customer.recent_products(last)[::-1], LOOKED_AT)
        if session is not None:
            for product_id in session.in_order():
                found.pop(product_id, None)
                found[product_id] = session.products[product_id][1]
        for product_id in looking_at:
            found[product_id] = max(LOOKED_AT, found.pop(product_id, LOOKED_AT))
        return found

    def hidden(self, customer: Customer, looking_at: Sequence[ProductId] = ()) -> frozenset[ProductId]:
        """The products not worth showing again now."""
        if self.rules.repeat_seen:
            return frozenset()
        session = customer.current_session
        return frozenset(looking_at) | frozenset(session.products if session is not None else ())

    def from_neighbours(self, scored: Sequence[Scored]) -> list[Candidate]:
        """Turn what the neighbours lead to into candidates."""
        return [
            Candidate(one.product_id, one.score, Reason(ReasonKind.NEIGHBOURS, one.sessions, one.through))
            for one in scored
        ]

    def from_trending(self, popular: Sequence[Popular], category: str | None) -> list[Candidate]:
        """Turn what is trending, in one category or in all, into candidates."""
        kind = ReasonKind.TRENDING if category is None else ReasonKind.TRENDING_IN_CATEGORY
        return [Candidate(one.product_id, one.score, Reason(kind, one.actions, (), category)) for one in popular]

    def choose(self, candidates: Sequence[Candidate], hidden: Collection[ProductId], limit: int) -> list[Candidate]:
        """Take the first `limit` candidates in the order given, each product once, none that is hidden."""
        chosen: dict[ProductId, Candidate] = {}
        for candidate in candidates:
            if len(chosen) == limit:
                break
            if candidate.product_id not in hidden:
                chosen.setdefault(candidate.product_id, candidate)
        return list(chosen.values())

    def explain(self, chosen: Sequence[Candidate], products: Mapping[ProductId, Product]) -> tuple[Recommendation, ...]:
        """Give each chosen product its description and its reason in words."""
        return tuple(
            Recommendation(
                products.get(one.product_id, Product(one.product_id)),
                one.score,
                one.reason,
                in_words(one.reason, products),
            )
            for one in chosen
        )
