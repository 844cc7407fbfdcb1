"""RecommendProducts: what a customer may like next, and what the shop likes now."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from random import Random
from typing import Final, Self

import attrs

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.candidate_sources import (
    CATEGORIES_READ_MAX,
    CONSIDERED_MAX,
    CandidateSources,
    Neighbours,
    depths,
)
from realtime_pipeline.application.serving.request import Request, ResolvedRequest
from realtime_pipeline.application.serving.shared_cache import LIST_DEPTHS, SharedCache
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.recommendation.blending import Candidate
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.ranking import Ranking, Visitor, filter_notes, inject_cold_start_products
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind, SeedAction
from realtime_pipeline.domain.recommendation.service import NO_SEED_ACTIONS, Recommendations, RecommendationService
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats

COLD_START_SAMPLE_MAX = 200
NO_CUSTOMER = CustomerId("")


NOT_ALL_CONSIDERED: Final = (
    f"more products may pass the filters: the list is not full, and of a source {CONSIDERED_MAX:,} products are tried"
)


@attrs.frozen
class TopRated:
    """A product people rate highly: the Bayesian average of its ratings."""

    product: Product
    average: float
    ratings: int

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it; see `Product.as_dict`.

        Example:
            {"product": {"product_id": "mug", ...}, "average": 4.62, "ratings": 13}
        """
        return {"product": self.product.as_dict(), "average": self.average, "ratings": self.ratings}


class TopRatedProducts(tuple[TopRated, ...]):
    """Products people rate highly, the best first; `notes` are what there is to say of the list, one line each."""

    notes: tuple[str, ...]

    def __new__(cls, products: Iterable[TopRated], notes: tuple[str, ...] = ()) -> Self:
        """Make the list of the products."""
        made = super().__new__(cls, products)
        made.notes = notes
        return made

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it.

        Example:
            {"items": [{"product": {"product_id": "mug", ...}, "average": 4.62, "ratings": 13}], "notes": []}
        """
        return {"items": [one.as_dict() for one in self], "notes": list(self.notes)}


class Descriptions:
    """What is known of products, each asked for once however many of the lists it may come into."""

    def __init__(self, shop: SharedCache) -> None:
        self._shop = shop
        self._asked: set[ProductId] = set()
        self._found: dict[ProductId, Product] = {}

    def of(self, product_ids: Set[ProductId]) -> Mapping[ProductId, Product]:
        """Describe products, and maybe others; those of which nobody has said anything are left out."""
        lacking = product_ids - self._asked
        if lacking:
            self._found.update(self._shop.products(lacking))
            self._asked |= lacking
        return self._found


class RecommendProducts:
    """Recommends products: from the sessions most like the customer's, filled up with what is trending."""

    def __init__(
        self,
        customers: CustomerQueries,
        shop: SharedCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
        rng: Random,
    ) -> None:
        self._shop = shop
        self._service = service
        self._sources = CandidateSources(customers, shop, service, affinity_half_life_ms)
        self._rng = rng

    def similar(self, product_id: ProductId, limit: int, rules: ListRules | None = None) -> Recommendations:
        """Recommend products to somebody of whom nothing is known but that they look at a product."""
        return self.for_customer(Customer(NO_CUSTOMER), Request(NO_CUSTOMER, limit, (product_id,), rules=rules))

    def for_customer(self, customer: Customer, request: Request) -> Recommendations:
        """Recommend products to a customer, whatever name the request has; one who is new gets what is trending."""
        return self.for_customers([(customer, request)])[0]

    def for_customers(self, requests: Sequence[tuple[Customer, Request]]) -> list[Recommendations]:
        """Recommend products to customers, each as if they had asked alone: what all of them need is read at once."""
        usual = self._service.settings.rules
        asked = [
            ResolvedRequest(customer, request, usual if request.rules is None else request.rules)
            for customer, request in requests
        ]
        led = self._sources.neighbours(asked)
        self._shop.prefetch(
            {product_id for one, way in zip(asked, led, strict=True) for product_id in _wanted(one, way)}
        )
        descriptions = Descriptions(self._shop)
        return [self._list(one, way, descriptions) for one, way in zip(asked, led, strict=True)]

    def _list(self, resolved: ResolvedRequest, neighbours: Neighbours, descriptions: Descriptions) -> Recommendations:
        request, rules = resolved.request, resolved.rules
        visitor = self._service.visitor(resolved.customer, request.looking_at, request.shown)
        described: Mapping[ProductId, Product] = {}
        stats: dict[ProductId, ProductStats] = {}
        ranking = Ranking(())

        def lacks() -> bool:
            return len(ranking.chosen) < request.limit

        for sources, is_last, is_cut in self._sources.expand(resolved, neighbours, lacks):
            considered = {one.product_id for source in sources for one in source}
            if rules.needs_descriptions:
                described = descriptions.of(considered | rules.pinned.keys())
            if rules.rating:
                stats |= self._shop.product_stats(considered - stats.keys())
            limit = request.limit
            ranking = self._service.rank(sources, visitor, rules, described, stats, limit, exhausted=is_last)
            if len(ranking.chosen) == limit:
                break
            if is_last and is_cut:
                ranking = attrs.evolve(ranking, notes=(*ranking.notes, NOT_ALL_CONSIDERED))
        if rules.exploration_share:
            ranking = self._explore(ranking, resolved, visitor, descriptions)
        led_by = {product_id for one in ranking.chosen for product_id in one.reason.because_of}
        touched = self._service.seed_actions(led_by, resolved.customer, request.looking_at)
        return self._explained(ranking, descriptions, touched)

    def _explore(
        self, ranking: Ranking, resolved: ResolvedRequest, visitor: Visitor, descriptions: Descriptions
    ) -> Ranking:
        """Draw products that hardly anybody has seen, where the customer looks; on average a share of
        `exploration_share`."""
        rules, limit = resolved.rules, resolved.request.limit
        places = int(rules.exploration_share * limit + self._rng.random())
        if not places:
            return ranking
        pool: dict[ProductId, str | None] = {}
        liked_categories = self._sources.categories(resolved.customer)
        if rules.only_categories:  # others would be refused
            liked_categories = [one for one in liked_categories if one in rules.only_categories]
            liked_categories = liked_categories or sorted(rules.only_categories)[:CATEGORIES_READ_MAX]
        categories: list[str | None] = [*liked_categories]
        for category in categories or [None]:
            listed = self._shop.of_category(category)
            some = self._rng.sample(listed, min(COLD_START_SAMPLE_MAX, len(listed)))
            liked = [one.product_id for one in self._sources.trending(category)]
            pool.update(dict.fromkeys((*some, *liked), category))
        for product_id in (
            *visitor.seen,
            *visitor.disliked,
            *visitor.bought,
            *(one.product_id for one in ranking.chosen),
        ):
            pool.pop(product_id, None)
        known = self._shop.interactions_of(pool)
        shown_max = rules.shown_max or sys.maxsize
        few = [
            product_id
            for product_id in pool
            if known.get(product_id, 0) < rules.exploration_below and visitor.shown.get(product_id, 0) < shown_max
        ]
        described = descriptions.of({*few, *(one.product_id for one in ranking.chosen)})
        passing = [id_ for id_ in few if rules.failed_filter(described.get(id_, Product(id_))) is None]
        drawn = self._rng.sample(passing, len(passing))
        new = [Candidate(id_, 0.0, Reason(ReasonKind.NEW, known.get(id_, 0), (), pool[id_])) for id_ in drawn]
        return inject_cold_start_products(ranking, new, places, rules, described, limit)

    def trending(self, limit: int, country: str | None = None) -> Recommendations:
        """Say what the whole shop, or a country, is looking at now, of what the filters of the settings let pass."""
        filters = self._service.settings.rules.filters
        descriptions = Descriptions(self._shop)
        ranking = Ranking(())
        for depth in depths(max(limit, LIST_DEPTHS[0])):
            source, is_more = self._sources.trending_for_rules(filters, country, depth)
            products = descriptions.of({one.product_id for one in source}) if filters.needs_descriptions else {}
            ranking = self._service.popular(source, filters, products, limit)
            if len(ranking.chosen) == limit or not is_more:
                break
        else:
            ranking = attrs.evolve(ranking, notes=(*ranking.notes, NOT_ALL_CONSIDERED))
        return self._explained(ranking, descriptions)

    def top_rated(self, prior_ratings: float, limit: int) -> TopRatedProducts:
        """Say which products people rate highest, of what the filters of the settings let pass.

        `prior_ratings` is how many average ratings each starts with.
        """
        refusal = self._service.settings.rules.failed_filter
        descriptions = Descriptions(self._shop)
        notes: tuple[str, ...] = ()
        for depth in depths(max(limit, LIST_DEPTHS[0])):
            rated = self._shop.top_rated(prior_ratings, depth)
            products = descriptions.of({one.product_id for one in rated})
            listed = [
                TopRated(products.get(one.product_id, Product(one.product_id)), one.average, one.ratings)
                for one in rated
            ]
            refusals = [refusal(one.product) for one in listed]
            found = [one for one, refused in zip(listed, refusals, strict=True) if refused is None][:limit]
            if len(found) == limit or len(rated) < depth:
                break
        else:
            notes = (NOT_ALL_CONSIDERED,)
        if not found:
            notes = (*filter_notes(Counter(filter(None, refusals)), len(listed)), *notes)
        return TopRatedProducts(found, notes)

    def _explained(
        self, ranking: Ranking, descriptions: Descriptions, touched: Mapping[ProductId, SeedAction] = NO_SEED_ACTIONS
    ) -> Recommendations:
        """Describe what is shown, and what it is shown for."""
        shown = {one.product_id for one in ranking.chosen} | touched.keys()
        return self._service.explain(ranking, descriptions.of(shown), touched)


def _wanted(resolved: ResolvedRequest, neighbours: Neighbours) -> Iterator[ProductId]:
    """Of which products one will need to know more, as far as can be told before the list is made."""
    rules, first = resolved.rules, neighbours.first
    if not rules.needs_descriptions and not rules.rating:
        first = first[: 2 * resolved.request.limit]  # some have been seen
    yield from rules.pinned
    for one in first:
        yield one.product_id
        yield from one.reason.because_of
