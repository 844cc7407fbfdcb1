"""Exploration: gives some slots of a list to cold-start products, which no neighbour session leads to yet."""

import sys
from random import Random
from typing import Final

from realtime_pipeline.application.serving.candidate_sources import CATEGORIES_READ_MAX, CandidateSources
from realtime_pipeline.application.serving.descriptions import Descriptions
from realtime_pipeline.application.serving.request import ResolvedRequest
from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.domain.recommendation.blending import Candidate
from realtime_pipeline.domain.recommendation.ranking import Ranking, Visitor, inject_cold_start_products
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product

COLD_START_SAMPLE_MAX: Final = 200
"""How many products of a category are drawn at random, of which the cold-start ones are kept."""


class Exploration:
    """Draws cold-start products at random: those with fewer than `exploration_below` views, carts and purchases."""

    def __init__(self, cache: SharedCache, sources: CandidateSources, rng: Random) -> None:
        self._cache = cache
        self._sources = sources
        self._rng = rng

    def inject(
        self, ranking: Ranking, resolved: ResolvedRequest, visitor: Visitor, descriptions: Descriptions
    ) -> Ranking:
        """Put cold-start products of the customer's categories into a share `exploration_share` of the slots, on
        average over many lists."""
        rules, limit = resolved.rules, resolved.request.limit
        slots = int(rules.exploration_share * limit + self._rng.random())
        if not slots:
            return ranking
        pool = self._pool(resolved)
        for product_id in (
            *visitor.seen,
            *visitor.disliked,
            *visitor.bought,
            *(candidate.product_id for candidate in ranking.chosen),
        ):
            pool.pop(product_id, None)
        interactions = self._cache.interactions_of(pool)
        shown_max = rules.shown_max or sys.maxsize
        cold = [
            product_id
            for product_id in pool
            if interactions.get(product_id, 0) < rules.exploration_below
            and visitor.shown.get(product_id, 0) < shown_max
        ]
        described = descriptions.of({*cold, *rules.pinned, *(candidate.product_id for candidate in ranking.chosen)})
        passing = [id_ for id_ in cold if rules.failed_filter(described.get(id_, Product(id_))) is None]
        drawn = self._rng.sample(passing, len(passing))
        new = [Candidate(id_, 0.0, Reason(ReasonKind.NEW, interactions.get(id_, 0), (), pool[id_])) for id_ in drawn]
        return inject_cold_start_products(ranking, new, slots, rules, described, limit)

    def _pool(self, resolved: ResolvedRequest) -> dict[ProductId, str | None]:
        """Return products with the category each was drawn from; None: from the whole shop."""
        only = resolved.rules.only_categories
        categories = self._sources.categories(resolved.customer)
        if only:  # products of other categories would not pass the filter
            categories = [category for category in categories if category in only]
            categories = categories or sorted(only)[:CATEGORIES_READ_MAX]
        pool: dict[ProductId, str | None] = {}
        segments: list[str | None] = [*categories] or [None]
        for category in segments:
            listed = self._cache.of_category(category)
            sample = self._rng.sample(listed, min(COLD_START_SAMPLE_MAX, len(listed)))
            trending = [candidate.product_id for candidate in self._sources.trending(category)]
            pool.update(dict.fromkeys((*sample, *trending), category))
        return pool
