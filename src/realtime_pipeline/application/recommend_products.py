"""RecommendProducts: what a customer may like next, and what the shop likes now."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from threading import Lock

import attrs

from realtime_pipeline.application.known_customer import known_customer
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.recommendation.neighbours import nearest, score
from realtime_pipeline.domain.recommendation.ranking import Candidate, Ranking, Visitor, with_new
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import NOTHING_SHOWN, Recommendations, RecommendationService
from realtime_pipeline.domain.recommendation.trending import Popular
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product, Tally

CANDIDATES_MAX = 200
CONSIDERED_MIN = 40
"""How many candidates are looked at first: most lists need no more."""
TRENDING_MAX = 200
TRENDING_LISTS_MAX = 1_000
NEW_LOOKED_AT = 200
NOBODY = CustomerId("")


@attrs.frozen
class Request:
    """Who asks for how many products, and what the shop says of the moment.

    `looking_at` are products that the visitor has before them, whether or not events say so yet, the newest last;
    `shown` is how often they were shown products before. Without `rules`, those of the settings hold.
    """

    customer_id: CustomerId
    limit: int = 10
    looking_at: Sequence[ProductId] = ()
    shown: Mapping[ProductId, int] = NOTHING_SHOWN
    rules: ListRules | None = None

    def __attrs_post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")


@attrs.frozen
class TopRated:
    """A product people rate highly: the Bayesian average of its ratings."""

    product: Product
    average: float
    ratings: int


class RecommendProducts:
    """Recommends products: from the sessions most like the customer's, filled up with what is trending."""

    def __init__(
        self,
        cells: CellStore,
        views: Views,
        catalogue: Catalogue,
        service: RecommendationService,
        clock: Clock,
        affinity_half_life_ms: int,
        trending_refresh_ms: int,
        dice: Random,
    ) -> None:
        self._cells = cells
        self._views = views
        self._catalogue = catalogue
        self._service = service
        self._clock = clock
        self._affinity_half_life_ms = affinity_half_life_ms
        self._trending_refresh_ms = trending_refresh_ms
        self._dice = dice
        self._total = (0, 0)
        self._one_reads = Lock()
        self._trending: dict[str | None, tuple[int, Sequence[Popular]]] = {}

    def __call__(self, request: Request) -> Recommendations:
        """Recommend products to a customer; one who is new gets what is trending."""
        return self._listed(known_customer(self._cells, request.customer_id) or Customer(request.customer_id), request)

    def similar(self, product_id: ProductId, limit: int, rules: ListRules | None = None) -> Recommendations:
        """Recommend products to somebody of whom nothing is known but that they look at a product."""
        return self._listed(Customer(NOBODY), Request(NOBODY, limit, (product_id,), rules=rules))

    def _listed(self, customer: Customer, request: Request) -> Recommendations:
        rules = self._service.rules.rules if request.rules is None else request.rules
        visitor = self._service.visitor(customer, request.looking_at, request.shown)
        described: dict[ProductId, Product] = {}
        tallies: dict[ProductId, Tally] = {}
        ranking = Ranking(())
        for sources, is_all in self._widening(customer, request, rules):
            considered = {one.product_id for source in sources for one in source}
            if rules.needs_descriptions:
                described.update(self._catalogue.products(considered - described.keys()))
            if rules.rating:
                tallies.update(self._views.tallies(considered - tallies.keys()))
            limit = request.limit
            ranking = self._service.rank(sources, visitor, rules, described, tallies, limit, is_all=is_all)
            if is_all or len(ranking.chosen) == limit:
                break
        if rules.explore:
            ranking = with_new(ranking, self._new(customer, visitor, rules, ranking, request.limit), request.limit)
        return self._service.explain(ranking, self._described(ranking.chosen, described))

    def _new(
        self, customer: Customer, visitor: Visitor, rules: ListRules, ranking: Ranking, limit: int
    ) -> list[Candidate]:
        """Draw products that hardly anybody has seen, where the customer looks; on average a share of `explore`."""
        places = int(rules.explore * limit + self._dice.random())
        if not places:
            return []
        pool: dict[ProductId, str | None] = {}
        categories: list[str | None] = [*self._categories(customer)]
        for category in categories or [None]:
            listed = self._catalogue.of_category(category)
            some = self._dice.sample(listed, min(NEW_LOOKED_AT, len(listed)))
            pool.update(dict.fromkeys((*some, *(one.product_id for one in self._trending_in(category))), category))
        for product_id in (
            *visitor.seen,
            *visitor.disliked,
            *visitor.bought,
            *(one.product_id for one in ranking.chosen),
        ):
            pool.pop(product_id, None)
        known = self._views.interactions_of(pool)
        shown_max = rules.shown_max or sys.maxsize
        few = [
            product_id
            for product_id in pool
            if known.get(product_id, 0) < rules.explore_below and visitor.shown.get(product_id, 0) < shown_max
        ]
        products = self._catalogue.products(few)
        passing = [id_ for id_ in few if rules.refusal(products.get(id_, Product(id_))) is None]
        drawn = self._dice.sample(passing, min(places, len(passing)))
        return [Candidate(id_, 0.0, Reason(ReasonKind.NEW, known.get(id_, 0), (), pool[id_])) for id_ in drawn]

    def _widening(
        self, customer: Customer, request: Request, rules: ListRules
    ) -> Iterator[tuple[list[list[Candidate]], bool]]:
        """Yield candidates, first few, then more of them, as long as they do not fill the list; whether that is all.

        Where rules weigh products, or sources are mixed, all are there at once: what is far behind may come out on top.
        Ratings and diversity move and mix those that are looked at.
        """
        at_once = rules.moves_far or not self._service.rules.blend.is_in_turn
        neighbours = self._from_neighbours(customer, request.looking_at)
        few = max(CONSIDERED_MIN, 3 * request.limit)
        if not at_once:
            yield [neighbours[:few]], False
            if len(neighbours) > few:
                yield [neighbours], False
        sources = [neighbours]
        for category in self._categories(customer):
            sources = [*sources, self._service.from_trending(self._trending_in(category), category)]
            if not at_once:
                yield sources, False
        yield [*sources, self._service.from_trending(self._trending_in(None), None)], True

    def trending(self, limit: int) -> Recommendations:
        """Say what the whole shop is looking at now."""
        sources = [self._service.from_trending(self._trending_in(None), None)]
        ranking = self._service.rank(sources, Visitor(), ListRules(), {}, {}, limit)
        return self._service.explain(ranking, self._described(ranking.chosen, {}))

    def top_rated(self, prior_ratings: float, limit: int) -> tuple[TopRated, ...]:
        """Say which products people rate highest; `prior_ratings` is how many average ratings each starts with."""
        rated = self._views.top_rated(prior_ratings, limit)
        products = self._catalogue.products([one.product_id for one in rated])
        return tuple(
            TopRated(products.get(one.product_id, Product(one.product_id)), one.average, one.ratings) for one in rated
        )

    def _from_neighbours(self, customer: Customer, looking_at: Sequence[ProductId]) -> list[Candidate]:
        """What the sessions most like the customer's lead to."""
        session = self._service.interests(customer, looking_at)
        if not session:
            return []
        rules = self._service.rules.neighbours
        lists = self._views.sessions_of(list(session)[-rules.last :], rules.m)
        own = {one.key for one in customer.open_sessions} | set(customer.closed_sessions)
        neighbours = nearest(session, lists, rules, own)
        sessions = self._cells.sessions([neighbour.key for neighbour in neighbours])
        seen = {product_id for other in sessions.values() for product_id in other.products}
        scored = score(
            session,
            neighbours,
            sessions,
            interactions=self._views.interactions_of(seen) if rules.rarity else {},
            interactions_total=self._interactions(),
            rules=rules,
            limit=CANDIDATES_MAX,
        )
        return self._service.from_neighbours(scored)

    def _categories(self, customer: Customer) -> list[str]:
        favourites = customer.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.rules.categories]]

    def _interactions(self) -> int:
        """All interactions of the shop, as old as what is trending may be."""
        read_ms, total = self._total
        if not total or not self._is_fresh(read_ms):
            total = self._views.interactions()
            self._total = (self._clock.now_ms(), total)
        return total

    def _trending_in(self, category: str | None) -> Sequence[Popular]:
        """What is trending, which is the same for everybody and changes slowly.

        After `trending_refresh_ms` the first who asks reads it anew; who asks meanwhile gets what was read before.
        """
        read = self._trending.get(category)
        if read is not None and self._is_fresh(read[0]):
            return read[1]
        if self._one_reads.acquire(blocking=read is None):
            try:
                return self._read_trending(category)
            finally:
                self._one_reads.release()
        return () if read is None else read[1]

    def _read_trending(self, category: str | None) -> Sequence[Popular]:
        read = self._trending.get(category)
        if read is None or not self._is_fresh(read[0]):
            if len(self._trending) >= TRENDING_LISTS_MAX:
                self._trending.clear()
            popular = self._views.trending(self._service.rules.trending, category, TRENDING_MAX)
            read = self._trending[category] = (self._clock.now_ms(), popular)
        return read[1]

    def _is_fresh(self, read_ms: int) -> bool:
        return 0 <= self._clock.now_ms() - read_ms < self._trending_refresh_ms

    def _described(
        self, chosen: Sequence[Candidate], described: Mapping[ProductId, Product]
    ) -> Mapping[ProductId, Product]:
        """Descriptions of what is shown, and of what it is shown for."""
        wanted = {one.product_id for one in chosen} | {id_ for one in chosen for id_ in one.reason.because_of}
        lacking = wanted - described.keys()
        return {**described, **self._catalogue.products(lacking)} if lacking else described
