"""Candidate generation: products of neighbour sessions, and what is trending."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.request import ResolvedRequest
from realtime_pipeline.application.serving.shared_cache import LIST_DEPTHS, SharedCache
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.recommendation.blending import Candidate
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.neighbours import NeighbourScores, nearest_sessions, score_products
from realtime_pipeline.domain.recommendation.service import RecommendationService

CANDIDATES_MAX = 200
"""How many candidates of a source are considered while the list is full; more only if it is short."""
CONSIDERED_MIN = 40
"""How many candidates of a source are considered first: most lists need no more."""
CONSIDERED_MAX: Final = LIST_DEPTHS[-1]
"""How many candidates of a source are considered at most, if the filters leave the list short."""
CATEGORIES_READ_MAX: Final = 20
"""Of how many of the rules' `only_categories` the trending products are read."""


class Batch(NamedTuple):
    """The top candidates of one or several sources, and whether a source has more."""

    sources: list[list[Candidate]]
    has_more: bool


Top = Callable[[int], Batch]
"""Reads the top candidates of sources, so many of each."""


class Expansion(NamedTuple):
    """Candidates by source; `is_last`: no source has more; `is_cut`: one has, beyond `CONSIDERED_MAX`."""

    sources: list[list[Candidate]]
    is_last: bool
    is_cut: bool


class NeighbourCandidates:
    """The candidates of one customer's neighbour sessions; `first` are the candidates considered first."""

    def __init__(self, scores: NeighbourScores, initial_size: int, service: RecommendationService) -> None:
        self._scores = scores
        self._initial_size = initial_size
        self._service = service
        self.first = self._best(initial_size)

    def top(self, count: int) -> Batch:
        """Return the best `count` candidates."""
        found = self.first if count == self._initial_size else self._best(count)
        return Batch([found], len(self._scores) > count)

    def _best(self, count: int) -> list[Candidate]:
        return self._service.from_neighbours(self._scores.best(count))


class CandidateSources:
    """Generates candidates of neighbour sessions, then of what is trending in the customer's categories, in their
    country, and in the whole shop."""

    def __init__(
        self,
        customers: CustomerQueries,
        cache: SharedCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
    ) -> None:
        self._customers = customers
        self._cache = cache
        self._service = service
        self._affinity_half_life_ms = affinity_half_life_ms

    def neighbours(self, requests: Sequence[ResolvedRequest]) -> list[NeighbourCandidates]:
        """Find the candidates of neighbour sessions for each request.

        What all requests need is read at once, since a round trip to the store costs more than the values in it.
        """
        service, settings = self._service, self._service.settings.neighbours
        if not service.settings.blend.neighbours:
            return [NeighbourCandidates(NeighbourScores({}, {}, {}), 0, service) for _ in requests]
        seeds = [service.seed_products(resolved.customer, resolved.request.looking_at) for resolved in requests]
        last_seeds = {product_id for products in seeds for product_id in list(products)[-settings.last :]}
        lists = self._cache.sessions_of(last_seeds, settings.m)
        time_ms = self._cache.shop_time_ms()
        similarities = [
            nearest_sessions(products, lists, settings, _own_sessions(resolved.customer), time_ms)
            for resolved, products in zip(requests, seeds, strict=True)
        ]
        summaries = self._customers.session_summaries(set().union(*similarities), self._cache.now_ms())
        scored = [
            score_products(products, sessions, summaries, settings)
            for products, sessions in zip(seeds, similarities, strict=True)
        ]
        if settings.idf_weight:
            idf = self._cache.idf_of(set().union(*(scores.scores for scores in scored)))
            scored = [scores.weighted_by_idf(idf, settings.idf_weight) for scores in scored]
        return [
            NeighbourCandidates(scores, self._first_size(resolved), service)
            for resolved, scores in zip(requests, scored, strict=True)
        ]

    def expand(
        self, resolved: ResolvedRequest, neighbours: NeighbourCandidates, is_short: Callable[[], bool]
    ) -> Iterator[Expansion]:
        """Yield candidates: first few of each source, then more while the filters leave the list short.

        A short list makes a source expand until it has no more or `CONSIDERED_MAX` candidates were considered. The
        sources expand one after the other; all at once where the rules reorder globally or the blend mixes the sources,
        since a candidate far down may then end up first. Ratings and diversity reorder only the candidates considered.

        Args:
            resolved: the request.
            neighbours: the candidates of its neighbour sessions.
            is_short: whether the list made of the candidates yielded so far lacks products.
        """
        steps = self._steps(resolved, neighbours)
        if not steps:
            yield Expansion([], True, False)
        elif self._expands_at_once(resolved):
            yield from _expanded(
                lambda size: _joined([top(size) for top in steps]),
                max(CANDIDATES_MAX, _initial_size(resolved)),
                is_short,
            )
        else:
            done: list[list[Candidate]] = []
            is_cut = False
            for top in steps:
                for expansion in _expanded(top, _initial_size(resolved), is_short):
                    is_last = expansion.is_last and top is steps[-1]
                    if expansion.sources or is_last:
                        yield Expansion([*done, *expansion.sources], is_last, is_cut or expansion.is_cut)
                done += expansion.sources
                is_cut = is_cut or expansion.is_cut

    def trending(
        self, category: str | None = None, country: str | None = None, limit: int = LIST_DEPTHS[0]
    ) -> list[Candidate]:
        """List what is trending in a category, in a country or in the whole shop."""
        trending = self._cache.trending(self._service.settings.trending, category, country, limit)
        return self._service.from_trending(trending, category, country)

    def trending_for_rules(self, rules: ListRules, country: str | None, limit: int) -> Batch:
        """List what is trending in a country or in the whole shop, with the trending lists of `only_categories`.

        A product of those categories may be far down the list of all. That list is read nevertheless, since a catalogue
        may put products into other categories than the events do.
        """
        trending = self._service.settings.trending
        categories = [None, *sorted(rules.only_categories)[:CATEGORIES_READ_MAX]]
        lists = [self._cache.trending(trending, category, country, limit) for category in categories]
        found = lists[0]
        if len(lists) > 1:
            by_id = {product.product_id: product for listed in lists for product in listed}
            found = sorted(by_id.values(), key=lambda product: (-product.score, product.product_id))
        has_more = any(len(listed) >= limit for listed in lists)
        return Batch([self._service.from_trending(found, None, country)], has_more)

    def categories(self, customer: Customer) -> list[str]:
        """List the customer's favourite categories, the highest affinity first."""
        favourites = customer.interests.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.settings.categories]]

    def _steps(self, resolved: ResolvedRequest, neighbours: NeighbourCandidates) -> Sequence[Top]:
        """Return the sources in the order of their weights; sources of equal weight form one step."""
        blend, customer = self._service.settings.blend, resolved.customer
        steps: list[Top] = []
        if blend.neighbours:
            steps.append(neighbours.top)
        if blend.trending_in_category:
            steps.append(lambda count: self._trending_in_categories(customer, count))
        last_seen_in = customer.visits.country
        country = resolved.request.country or (None if last_seen_in is None else str(last_seen_in[0]))
        if country is not None and blend.trending_in_country:
            steps.append(lambda count: self.trending_for_rules(resolved.rules, country, count))
        if blend.trending:
            steps.append(lambda count: self.trending_for_rules(resolved.rules, None, count))
        return steps

    def _trending_in_categories(self, customer: Customer, count: int) -> Batch:
        found = [self.trending(category, None, count) for category in self.categories(customer)]
        return Batch(found, any(len(listed) == count for listed in found))

    def _expands_at_once(self, resolved: ResolvedRequest) -> bool:
        return resolved.rules.reorders_globally or not self._service.settings.blend.keeps_source_order

    def _first_size(self, resolved: ResolvedRequest) -> int:
        size = _initial_size(resolved)
        return max(CANDIDATES_MAX, size) if self._expands_at_once(resolved) else size


def depths(first: int) -> Sequence[int]:
    """Return how many products of a source to consider: first, then each time the filters leave too few of them."""
    return [first, *(depth for depth in LIST_DEPTHS if depth > first)]


def _expanded(top: Top, first: int, is_short: Callable[[], bool]) -> Iterator[Expansion]:
    """Yield the top candidates of a source, first few, then more; beyond `CANDIDATES_MAX` only if the list is short."""
    for depth in depths(first):
        if depth > max(first, CANDIDATES_MAX) and not is_short():
            return
        sources, has_more = top(depth)
        is_cut = has_more and depth >= CONSIDERED_MAX
        yield Expansion(sources, is_cut or not has_more, is_cut)
        if not has_more:
            return


def _joined(batches: Sequence[Batch]) -> Batch:
    return Batch([source for batch in batches for source in batch.sources], any(batch.has_more for batch in batches))


def _initial_size(resolved: ResolvedRequest) -> int:
    return min(max(CONSIDERED_MIN, 3 * resolved.request.limit), CONSIDERED_MAX)


def _own_sessions(customer: Customer) -> set[SessionKey]:
    return set(customer.visits.session_keys)
