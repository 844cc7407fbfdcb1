"""Where candidates come from: what the sessions most like the customer's lead to, and what is trending."""

from collections.abc import Callable, Iterator, Sequence

from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.request import Asked
from realtime_pipeline.application.shop_cache import TRENDING_MAX, ShopCache
from realtime_pipeline.domain.recommendation.neighbours import Scores, nearest, score
from realtime_pipeline.domain.recommendation.ranking import Candidate
from realtime_pipeline.domain.recommendation.service import RecommendationService
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.session import SessionKey

CANDIDATES_MAX = 200
CONSIDERED_MIN = 40
"""How many candidates are looked at first: most lists need no more."""

Take = Callable[[int], tuple[list[list[Candidate]], bool]]
"""Takes so many candidates from sources, and says whether there are more."""


class Neighbours:
    """What the sessions most like a customer's lead to. `first` are those that are looked at first."""

    def __init__(self, scores: Scores, count: int, service: RecommendationService) -> None:
        self._scores = scores
        self._count = count
        self._service = service
        self.first = self._best(count)

    def take(self, count: int) -> tuple[list[list[Candidate]], bool]:
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
        cells: CellStore,
        shop: ShopCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
    ) -> None:
        self._cells = cells
        self._shop = shop
        self._service = service
        self._affinity_half_life_ms = affinity_half_life_ms

    def neighbours(self, asked: Sequence[Asked]) -> list[Neighbours]:
        """Find what neighbours lead to, for each who asks.

        What all of them need is read at once: a way to the store and back costs more than what is carried.
        """
        service, rules = self._service, self._service.rules.neighbours
        if not service.rules.blend.neighbours:
            return [Neighbours(Scores({}, {}, {}), 0, service) for _ in asked]
        sessions = [service.interests(one.customer, one.request.looking_at) for one in asked]
        starts = {product_id for session in sessions for product_id in list(session)[-rules.last :]}
        lists = self._shop.sessions_of(starts, rules.m)
        near = [
            nearest(session, lists, rules, _own(one.customer)) for one, session in zip(asked, sessions, strict=True)
        ]
        trails = self._cells.trails(set().union(*near))
        found = [score(session, keys, trails, rules) for session, keys in zip(sessions, near, strict=True)]
        if rules.rarity:
            rarities = self._shop.rarities_of(set().union(*(scores.scores for scores in found)))
            found = [scores.weighed(rarities, rules.rarity) for scores in found]
        return [
            Neighbours(scores, self._count_at_first(one), service) for one, scores in zip(asked, found, strict=True)
        ]

    def widening(self, asked: Asked, neighbours: Neighbours) -> Iterator[tuple[list[list[Candidate]], bool]]:
        """Yield candidates, of each source first few, then more of them, as long as they do not fill the list; whether
        that is all.

        Where rules weigh products, or sources are mixed, all are there at once: what is far behind may come out on top.
        Ratings and diversity move and mix those that are looked at.
        """
        at_once, few = self._at_once(asked), _few(asked)
        sources: list[list[Candidate]] = []
        steps = self._steps(asked, neighbours)
        for number, take in enumerate(steps, 1):
            is_last, is_more = number == len(steps), True
            if not at_once:
                some, is_more = take(few)
                if some or is_last:
                    yield [*sources, *some], is_last and not is_more
            if is_more:
                some, _ = take(max(CANDIDATES_MAX, few))
                if not at_once or is_last:
                    yield [*sources, *some], is_last
            sources += some
        if not steps:
            yield [], True

    def trending(
        self, category: str | None = None, country: str | None = None, limit: int = TRENDING_MAX
    ) -> list[Candidate]:
        """What is trending in a category, in a country or anywhere."""
        rules = self._service.rules.trending
        popular = self._shop.trending(rules, category, country, max(limit, TRENDING_MAX))[:limit]
        return self._service.from_trending(popular, category, country)

    def categories(self, customer: Customer) -> list[str]:
        """Where a customer looks."""
        favourites = customer.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.rules.categories]]

    def _steps(self, asked: Asked, neighbours: Neighbours) -> Sequence[Take]:
        """The sources in turn; those of one step are worth the same, so that they are taken together."""
        blend, customer = self._service.rules.blend, asked.customer
        steps: list[Take] = []
        if blend.neighbours:
            steps.append(neighbours.take)
        if blend.trending_in_category:
            steps.append(lambda count: self._popular([(one, None) for one in self.categories(customer)], count))
        country = asked.request.country or (None if customer.country is None else str(customer.country[0]))
        if country is not None and blend.trending_in_country:
            steps.append(lambda count: self._popular([(None, country)], count))
        if blend.trending:
            steps.append(lambda count: self._popular([(None, None)], count))
        return steps

    def _popular(
        self, places: Sequence[tuple[str | None, str | None]], count: int
    ) -> tuple[list[list[Candidate]], bool]:
        """The first of what is trending in categories or countries, and whether there are more."""
        count = min(count, TRENDING_MAX)
        found = [self.trending(category, country, count) for category, country in places]
        return found, count < TRENDING_MAX and any(len(one) == count for one in found)

    def _at_once(self, asked: Asked) -> bool:
        return asked.rules.moves_far or not self._service.rules.blend.is_in_turn

    def _count_at_first(self, asked: Asked) -> int:
        return max(CANDIDATES_MAX, _few(asked)) if self._at_once(asked) else _few(asked)


def _few(asked: Asked) -> int:
    return max(CONSIDERED_MIN, 3 * asked.request.limit)


def _own(customer: Customer) -> set[SessionKey]:
    """The customer's sessions: no neighbours of themselves."""
    return {one.key for one in customer.open_sessions} | set(customer.closed_sessions)
