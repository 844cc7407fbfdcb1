"""Where candidates come from: what the sessions most like the customer's lead to, and what is trending."""

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
CONSIDERED_MIN = 40
"""How many candidates are looked at first: most lists need no more."""
CONSIDERED_MAX: Final = LIST_DEPTHS[-1]
"""How many candidates of a source are looked at where the filters leave too few of them to fill the list."""
CATEGORIES_READ_MAX: Final = 20
"""Of how many categories, where a list is to have no others, it is asked what trends in each."""

Top = Callable[[int], tuple[list[list[Candidate]], bool]]
"""Takes so many candidates from sources, and says whether there are more."""


class Expansion(NamedTuple):
    """Candidates by source; whether these are the last, and whether some source has more than are considered."""

    sources: list[list[Candidate]]
    is_last: bool
    is_cut: bool


class Neighbours:
    """What the sessions most like a customer's lead to. `first` are those that are looked at first."""

    def __init__(self, scores: NeighbourScores, count: int, service: RecommendationService) -> None:
        self._scores = scores
        self._count = count
        self._service = service
        self.first = self._best(count)

    def top(self, count: int) -> tuple[list[list[Candidate]], bool]:
        """Take the best `count`, and say whether there are more."""
        found = self.first if count == self._count else self._best(count)
        return [found], len(self._scores) > count

    def _best(self, count: int) -> list[Candidate]:
        return self._service.from_neighbours(self._scores.best(count))


class CandidateSources:
    """Finds candidates: from the sessions most like the customer's, then what is trending where they look, then where
    they are, then anywhere."""

    def __init__(
        self,
        customers: CustomerQueries,
        shop: SharedCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
    ) -> None:
        self._customers = customers
        self._shop = shop
        self._service = service
        self._affinity_half_life_ms = affinity_half_life_ms

    def neighbours(self, resolved: Sequence[ResolvedRequest]) -> list[Neighbours]:
        """Find what neighbours lead to, for each who asks.

        What all of them need is read at once: a way to the store and back costs more than what is carried.
        """
        service, rules = self._service, self._service.settings.neighbours
        if not service.settings.blend.neighbours:
            return [Neighbours(NeighbourScores({}, {}, {}), 0, service) for _ in resolved]
        sessions = [service.seed_products(one.customer, one.request.looking_at) for one in resolved]
        seeds = {product_id for session in sessions for product_id in list(session)[-rules.last :]}
        lists = self._shop.sessions_of(seeds, rules.m)
        time_ms = self._shop.shop_time_ms()
        nearest_sessions = [
            nearest_sessions(session, lists, rules, _own(one.customer), time_ms)
            for one, session in zip(resolved, sessions, strict=True)
        ]
        summaries = self._customers.session_summaries(set().union(*nearest_sessions), self._shop.now_ms())
        found = [
            score_products(session, keys, summaries, rules)
            for session, keys in zip(sessions, nearest_sessions, strict=True)
        ]
        if rules.idf_weight:
            idf = self._shop.idf_of(set().union(*(scores.scores for scores in found)))
            found = [scores.weighted_by_idf(idf, rules.idf_weight) for scores in found]
        return [
            Neighbours(scores, self._count_at_first(one), service) for one, scores in zip(resolved, found, strict=True)
        ]

    def expand(
        self, resolved: ResolvedRequest, neighbours: Neighbours, is_short: Callable[[], bool]
    ) -> Iterator[Expansion]:
        """Yield candidates, of each source first few, then more, as long as they do not fill the list.

        As long as the list lacks products that pass the filters, a source goes on until it has no more, or
        `CONSIDERED_MAX` were considered. Where rules weigh products, or sources are mixed, all sources go on together:
        what is far behind may come out on top. Ratings and diversity move and mix those that are looked at.
        """
        steps = self._steps(resolved, neighbours)
        if not steps:
            yield Expansion([], True, False)
        elif self._at_once(resolved):
            yield from _expanded(
                lambda size: _joined([take(size) for take in steps]),
                max(CANDIDATES_MAX, _initial_size(resolved)),
                is_short,
            )
        else:
            done: list[list[Candidate]] = []
            is_cut = False
            for take in steps:
                for one in _expanded(take, _initial_size(resolved), is_short):
                    is_last = one.is_last and take is steps[-1]
                    if one.sources or is_last:
                        yield Expansion([*done, *one.sources], is_last, is_cut or one.is_cut)
                done += one.sources
                is_cut = is_cut or one.is_cut

    def trending(
        self, category: str | None = None, country: str | None = None, limit: int = LIST_DEPTHS[0]
    ) -> list[Candidate]:
        """What is trending in a category, in a country or anywhere."""
        popular = self._shop.trending(self._service.settings.trending, category, country, limit)
        return self._service.from_trending(popular, category, country)

    def trending_for_rules(self, rules: ListRules, country: str | None, limit: int) -> tuple[list[Candidate], bool]:
        """What is trending in a country or anywhere, and whether there is more.

        Where rules name the only categories, what trends in those comes along: it may be far behind otherwise. The rest
        is looked through as well, since a catalogue may know of other categories than events do.
        """
        trending = self._service.settings.trending
        categories = [None, *sorted(rules.only_categories)[:CATEGORIES_READ_MAX]]
        lists = [self._shop.trending(trending, category, country, limit) for category in categories]
        found = lists[0]
        if len(lists) > 1:
            by_id = {one.product_id: one for some in lists for one in some}
            found = sorted(by_id.values(), key=lambda one: (-one.score, one.product_id))
        return self._service.from_trending(found, None, country), any(len(some) >= limit for some in lists)

    def categories(self, customer: Customer) -> list[str]:
        """Where a customer looks."""
        favourites = customer.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.settings.categories]]

    def _steps(self, resolved: ResolvedRequest, neighbours: Neighbours) -> Sequence[Top]:
        """The sources in turn; those of one step are worth the same, so that they are taken together."""
        blend, customer = self._service.settings.blend, resolved.customer
        steps: list[Top] = []
        if blend.neighbours:
            steps.append(neighbours.top)
        if blend.trending_in_category:
            steps.append(lambda count: self._in_categories(customer, count))
        country = resolved.request.country or (None if customer.country is None else str(customer.country[0]))
        if country is not None and blend.trending_in_country:
            steps.append(lambda count: self._anywhere(resolved.rules, country, count))
        if blend.trending:
            steps.append(lambda count: self._anywhere(resolved.rules, None, count))
        return steps

    def _in_categories(self, customer: Customer, count: int) -> tuple[list[list[Candidate]], bool]:
        found = [self.trending(category, None, count) for category in self.categories(customer)]
        return found, any(len(some) == count for some in found)

    def _anywhere(self, rules: ListRules, country: str | None, count: int) -> tuple[list[list[Candidate]], bool]:
        found, has_more = self.trending_for_rules(rules, country, count)
        return [found], has_more

    def _at_once(self, resolved: ResolvedRequest) -> bool:
        return resolved.rules.reorders_globally or not self._service.settings.blend.keeps_source_order

    def _count_at_first(self, resolved: ResolvedRequest) -> int:
        return max(CANDIDATES_MAX, _initial_size(resolved)) if self._at_once(resolved) else _initial_size(resolved)


def depths(first: int) -> Sequence[int]:
    """How many products of a source to look at, at first and then, as long as too few of them pass the filters."""
    return [first, *(depth for depth in LIST_DEPTHS if depth > first)]


def _expanded(top: Top, first: int, is_short: Callable[[], bool]) -> Iterator[Expansion]:
    """Take candidates of a source, first few, then more; over `CANDIDATES_MAX` as long as the list lacks any."""
    for depth in depths(first):
        if depth > max(first, CANDIDATES_MAX) and not is_short():
            return
        some, has_more = top(depth)
        is_cut = has_more and depth >= CONSIDERED_MAX
        yield Expansion(some, is_cut or not has_more, is_cut)
        if not has_more:
            return


def _joined(taken: Sequence[tuple[list[list[Candidate]], bool]]) -> tuple[list[list[Candidate]], bool]:
    return [source for some, _ in taken for source in some], any(is_more for _, is_more in taken)


def _initial_size(resolved: ResolvedRequest) -> int:
    return min(max(CONSIDERED_MIN, 3 * resolved.request.limit), CONSIDERED_MAX)


def _own(customer: Customer) -> set[SessionKey]:
    """The customer's sessions: no neighbours of themselves."""
    return {one.key for one in customer.open_sessions} | set(customer.closed_sessions)
