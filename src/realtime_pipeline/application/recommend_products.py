"""RecommendProducts: what a customer may like next, and what the shop likes now."""

from collections.abc import Sequence

import attrs

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.recommendation.neighbours import nearest, score
from realtime_pipeline.domain.recommendation.service import Candidate, Recommendation, RecommendationService
from realtime_pipeline.domain.recommendation.trending import Popular
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product

CANDIDATES_MAX = 200
TRENDING_MAX = 200
TRENDING_LISTS_MAX = 1_000


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
    ) -> None:
        self._cells = cells
        self._views = views
        self._catalogue = catalogue
        self._service = service
        self._clock = clock
        self._affinity_half_life_ms = affinity_half_life_ms
        self._trending_refresh_ms = trending_refresh_ms
        self._trending: dict[str | None, tuple[int, Sequence[Popular]]] = {}

    def __call__(
        self, customer_id: CustomerId, limit: int, looking_at: Sequence[ProductId] = ()
    ) -> tuple[Recommendation, ...]:
        """Recommend at most `limit` products to a customer; one who is new gets what is trending.

        `looking_at` are products that the visitor has before them, whether or not events say so yet, the newest last.

        Raises:
            ValueError: `limit` is less than 1.
        """
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        customer = self._cells.customer(customer_id) or Customer(customer_id)
        hidden = self._service.hidden(customer, looking_at)
        candidates = self._from_neighbours(customer, looking_at)
        chosen = self._service.choose(candidates, hidden, limit)
        for category in (*self._categories(customer), None):
            if len(chosen) == limit:
                break
            candidates += self._service.from_trending(self._trending_in(category), category)
            chosen = self._service.choose(candidates, hidden, limit)
        return self._service.explain(chosen, self._described(chosen))

    def trending(self, limit: int) -> tuple[Recommendation, ...]:
        """Say what the whole shop is looking at now."""
        chosen = self._service.from_trending(self._trending_in(None), None)[:limit]
        return self._service.explain(chosen, self._described(chosen))

    def top_rated(self, prior_ratings: float, limit: int) -> tuple[TopRated, ...]:
        """Say which products people rate highest; `prior_ratings` is how many average ratings each starts with."""
        rated = self._views.top_rated(prior_ratings, limit)
        products = self._catalogue.products([one.product_id for one in rated])
        return tuple(
            TopRated(products.get(one.product_id, Product(one.product_id)), one.average, one.ratings) for one in rated
        )

    def _from_neighbours(self, customer: Customer, looking_at: Sequence[ProductId]) -> list[Candidate]:
        session = self._service.interests(customer, looking_at)
        if not session:
            return []
        rules = self._service.rules.neighbours
        lists = self._views.sessions_of(list(session)[-rules.last :], rules.m)
        own = {one.key for one in customer.open_sessions} | set(customer.closed_sessions)
        neighbours = nearest(session, lists, rules, own)
        sessions = self._cells.sessions([neighbour.key for neighbour in neighbours])
        seen = {product_id for other in sessions.values() for product_id in other.products}
        interactions = {product_id: state.interactions for product_id, state in self._views.products(seen).items()}
        scored = score(
            session,
            neighbours,
            sessions,
            interactions=interactions,
            interactions_total=self._views.interactions(),
            rules=rules,
            limit=CANDIDATES_MAX,
        )
        return self._service.from_neighbours(scored)

    def _categories(self, customer: Customer) -> list[str]:
        favourites = customer.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.rules.categories]]

    def _trending_in(self, category: str | None) -> Sequence[Popular]:
        """What is trending, at most `trending_refresh_ms` old: it is the same for everybody and changes slowly."""
        now_ms = self._clock.now_ms()
        read = self._trending.get(category)
        if read is None or not 0 <= now_ms - read[0] < self._trending_refresh_ms:
            if len(self._trending) >= TRENDING_LISTS_MAX:
                self._trending.clear()
            popular = self._views.trending(self._service.rules.trending, category, TRENDING_MAX)
            read = self._trending[category] = (now_ms, popular)
        return read[1]

    def _described(self, chosen: Sequence[Candidate]) -> dict[ProductId, Product]:
        wanted = {one.product_id for one in chosen} | {id_ for one in chosen for id_ in one.reason.because_of}
        return self._catalogue.products(wanted)
