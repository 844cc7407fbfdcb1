"""RecommendProducts: candidate generation, scoring, re-ranking and explanation of a list."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from random import Random
from typing import Final

import attrs

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.candidate_sources import (
    CONSIDERED_MAX,
    CandidateSources,
    NeighbourCandidates,
    depths,
)
from realtime_pipeline.application.serving.descriptions import Descriptions
from realtime_pipeline.application.serving.exploration import Exploration
from realtime_pipeline.application.serving.request import Request, ResolvedRequest
from realtime_pipeline.application.serving.shared_cache import LIST_DEPTHS, SharedCache
from realtime_pipeline.application.serving.top_rated import TopRated, TopRatedProducts
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.ranking import Ranking, filter_notes
from realtime_pipeline.domain.recommendation.reasons import SeedAction
from realtime_pipeline.domain.recommendation.recommendations import Recommendations
from realtime_pipeline.domain.recommendation.service import NO_SEED_ACTIONS, RecommendationService
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.product_stats import ProductStats

NO_CUSTOMER: Final = CustomerId("")
"""The id of a request that is for no customer in particular."""

NOT_ALL_CONSIDERED: Final = (
    f"more products may pass the filters: the list is not full, and of a source {CONSIDERED_MAX:,} products are tried"
)


class RecommendProducts:
    """Recommends products of neighbour sessions, filled up with what is trending."""

    def __init__(
        self,
        customers: CustomerQueries,
        cache: SharedCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
        rng: Random,
    ) -> None:
        self._cache = cache
        self._service = service
        self._sources = CandidateSources(customers, cache, service, affinity_half_life_ms)
        self._exploration = Exploration(cache, self._sources, rng)

    def similar(self, product_id: ProductId, limit: int, rules: ListRules | None = None) -> Recommendations:
        """Recommend products for the page of a product: to an otherwise unknown customer."""
        return self.for_customer(Customer(NO_CUSTOMER), Request(NO_CUSTOMER, limit, (product_id,), rules=rules))

    def for_customer(self, customer: Customer, request: Request) -> Recommendations:
        """Recommend products to a customer; a new customer gets what is trending.

        The customer's id need not be the one in the request, which may be an alias.
        """
        return self.for_customers([(customer, request)])[0]

    def for_customers(self, requests: Sequence[tuple[Customer, Request]]) -> list[Recommendations]:
        """Answer several requests, each as if it came alone; what they need is read in one batch."""
        default_rules = self._service.settings.rules
        resolved = [
            ResolvedRequest(customer, request, default_rules if request.rules is None else request.rules)
            for customer, request in requests
        ]
        neighbours = self._sources.neighbours(resolved)
        self._cache.prefetch(
            {
                product_id
                for request, candidates in zip(resolved, neighbours, strict=True)
                for product_id in _products_to_prefetch(request, candidates)
            }
        )
        descriptions = Descriptions(self._cache)
        return [
            self._list(request, candidates, descriptions)
            for request, candidates in zip(resolved, neighbours, strict=True)
        ]

    def _list(
        self, resolved: ResolvedRequest, neighbours: NeighbourCandidates, descriptions: Descriptions
    ) -> Recommendations:
        request, rules = resolved.request, resolved.rules
        visitor = self._service.visitor(resolved.customer, request.looking_at, request.shown)
        described: Mapping[ProductId, Product] = {}
        stats: dict[ProductId, ProductStats] = {}
        ranking = Ranking(())

        def is_short() -> bool:
            return len(ranking.chosen) < request.limit

        for sources, is_last, is_cut in self._sources.expand(resolved, neighbours, is_short):
            considered = {candidate.product_id for source in sources for candidate in source}
            described = self._describe(considered | rules.pinned.keys(), rules, descriptions)
            if rules.rating:
                stats |= self._cache.product_stats(considered - stats.keys())
            limit = request.limit
            ranking = self._service.rank(sources, visitor, rules, described, stats, limit, exhausted=is_last)
            if len(ranking.chosen) == limit:
                break
            if is_last and is_cut:
                ranking = attrs.evolve(ranking, notes=(*ranking.notes, NOT_ALL_CONSIDERED))
        if rules.exploration_share:
            ranking = self._exploration.inject(ranking, resolved, visitor, descriptions)
        seeds = {product_id for candidate in ranking.chosen for product_id in candidate.reason.because_of}
        seed_actions = self._service.seed_actions(seeds, resolved.customer, request.looking_at)
        return self._explained(ranking, descriptions, seed_actions)

    def trending(self, limit: int, country: str | None = None) -> Recommendations:
        """List what is trending in a country or in the whole shop, of what passes the filters of the settings."""
        filters = self._service.settings.rules.filters
        descriptions = Descriptions(self._cache)
        ranking = Ranking(())
        for depth in depths(max(limit, LIST_DEPTHS[0])):
            (source,), has_more = self._sources.trending_for_rules(filters, country, depth)
            products = self._describe({candidate.product_id for candidate in source}, filters, descriptions)
            ranking = self._service.popular(source, filters, products, limit)
            if len(ranking.chosen) == limit or not has_more:
                break
        else:
            ranking = attrs.evolve(ranking, notes=(*ranking.notes, NOT_ALL_CONSIDERED))
        return self._explained(ranking, descriptions)

    def top_rated(self, limit: int) -> TopRatedProducts:
        """List at most `limit` products rated highest, of those that pass the filters of the settings."""
        prior_ratings = self._service.prior_ratings
        failed_filter = self._service.settings.rules.failed_filter
        descriptions = Descriptions(self._cache)
        notes: tuple[str, ...] = ()
        for depth in depths(max(limit, LIST_DEPTHS[0])):
            rated = self._cache.top_rated(prior_ratings, depth)
            products = descriptions.of({entry.product_id for entry in rated})
            listed = [
                TopRated(products.get(entry.product_id, Product(entry.product_id)), entry.average, entry.ratings)
                for entry in rated
            ]
            failed = [failed_filter(entry.product) for entry in listed]
            passing = [entry for entry, name in zip(listed, failed, strict=True) if name is None][:limit]
            if len(passing) == limit or len(rated) < depth:
                break
        else:
            notes = (NOT_ALL_CONSIDERED,)
        if not passing:
            notes = (*filter_notes(Counter(filter(None, failed)), len(listed)), *notes)
        return TopRatedProducts(passing, notes)

    def _describe(
        self, product_ids: Set[ProductId], rules: ListRules, descriptions: Descriptions
    ) -> Mapping[ProductId, Product]:
        """Describe candidates: by the store, which says what was removed; by the catalogue too, where rules need it."""
        return descriptions.of(product_ids) if rules.needs_descriptions else self._cache.stored(product_ids)

    def _explained(
        self,
        ranking: Ranking,
        descriptions: Descriptions,
        seed_actions: Mapping[ProductId, SeedAction] = NO_SEED_ACTIONS,
    ) -> Recommendations:
        """Describe the chosen products and their seeds, and explain the list."""
        shown = {candidate.product_id for candidate in ranking.chosen} | seed_actions.keys()
        return self._service.explain(ranking, descriptions.of(shown), seed_actions)


def _products_to_prefetch(resolved: ResolvedRequest, neighbours: NeighbourCandidates) -> Iterator[ProductId]:
    """Yield the products that ranking and explaining the list will probably read."""
    rules, first = resolved.rules, neighbours.first
    if not rules.needs_descriptions and not rules.rating:
        first = first[: 2 * resolved.request.limit]  # some of them were seen in this visit
    yield from rules.pinned
    for candidate in first:
        yield candidate.product_id
        yield from candidate.reason.because_of
