"""RecommendProducts: what a customer may like next, and what the shop likes now."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random

import attrs

from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.shop_cache import TOP_RATED_MAX, TRENDING_MAX, ShopCache
from realtime_pipeline.domain.recommendation.neighbours import Scores, nearest, score
from realtime_pipeline.domain.recommendation.ranking import Candidate, Ranking, Visitor, with_new
from realtime_pipeline.domain.recommendation.reasons import Reason, ReasonKind
from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import NOTHING_SHOWN, Recommendations, RecommendationService
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId, country_code
from realtime_pipeline.domain.shop.product import Product, Tally

CANDIDATES_MAX = 200
CONSIDERED_MIN = 40
"""How many candidates are looked at first: most lists need no more."""
NEW_LOOKED_AT = 200
NOBODY = CustomerId("")

Take = Callable[[int], tuple[list[list[Candidate]], bool]]
"""Takes so many candidates from sources, and says whether there are more."""


@attrs.frozen
class Request:
    """Who asks for how many products, and what the shop says of the moment.

    `looking_at` are products that the visitor has before them, whether or not events say so yet, the newest last;
    `shown` is how often they were shown products before. Without `rules`, those of the settings hold, without `country`
    (two letters) the one where the customer was last.
    """

    customer_id: CustomerId
    limit: int = 10
    looking_at: Sequence[ProductId] = ()
    shown: Mapping[ProductId, int] = NOTHING_SHOWN
    rules: ListRules | None = None
    country: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")
        if self.country != country_code(self.country):
            raise ValueError(f"a country is two letters, as DE, not {self.country}")


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
        shop: ShopCache,
        service: RecommendationService,
        affinity_half_life_ms: int,
        dice: Random,
    ) -> None:
        self._cells = cells
        self._views = views
        self._shop = shop
        self._service = service
        self._affinity_half_life_ms = affinity_half_life_ms
        self._dice = dice

    def similar(self, product_id: ProductId, limit: int, rules: ListRules | None = None) -> Recommendations:
        """Recommend products to somebody of whom nothing is known but that they look at a product."""
        return self.to(Customer(NOBODY), Request(NOBODY, limit, (product_id,), rules=rules))

    def to(self, customer: Customer, request: Request) -> Recommendations:
        """Recommend products to a customer, whatever name the request has; one who is new gets what is trending."""
        rules = self._service.rules.rules if request.rules is None else request.rules
        visitor = self._service.visitor(customer, request.looking_at, request.shown)
        described: dict[ProductId, Product] = {}
        tallies: dict[ProductId, Tally] = {}
        ranking = Ranking(())
        for sources, is_all in self._widening(customer, request, rules):
            considered = {one.product_id for source in sources for one in source}
            if rules.needs_descriptions:
                described |= self._shop.products((considered | rules.pinned.keys()) - described.keys())
            if rules.rating:
                tallies |= self._shop.tallies(considered - tallies.keys())
            limit = request.limit
            ranking = self._service.rank(sources, visitor, rules, described, tallies, limit, is_all=is_all)
            if is_all or len(ranking.chosen) == limit:
                break
        if rules.explore:
            ranking = self._with_new(ranking, customer, visitor, rules, described, request.limit)
        return self._explained(ranking, described)

    def _with_new(
        self,
        ranking: Ranking,
        customer: Customer,
        visitor: Visitor,
        rules: ListRules,
        described: Mapping[ProductId, Product],
        limit: int,
    ) -> Ranking:
        """Draw products that hardly anybody has seen, where the customer looks; on average a share of `explore`."""
        places = int(rules.explore * limit + self._dice.random())
        if not places:
            return ranking
        trending = self._service.rules.trending
        pool: dict[ProductId, str | None] = {}
        categories: list[str | None] = [*self._categories(customer)]
        for category in categories or [None]:
            listed = self._shop.of_category(category)
            some = self._dice.sample(listed, min(NEW_LOOKED_AT, len(listed)))
            liked = [one.product_id for one in self._shop.trending(trending, category)]
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
            if known.get(product_id, 0) < rules.explore_below and visitor.shown.get(product_id, 0) < shown_max
        ]
        products = self._shop.products(few)
        passing = [id_ for id_ in few if rules.refusal(products.get(id_, Product(id_))) is None]
        drawn = self._dice.sample(passing, len(passing))
        new = [Candidate(id_, 0.0, Reason(ReasonKind.NEW, known.get(id_, 0), (), pool[id_])) for id_ in drawn]
        return with_new(ranking, new, places, rules, {**described, **products}, limit)

    def _widening(
        self, customer: Customer, request: Request, rules: ListRules
    ) -> Iterator[tuple[list[list[Candidate]], bool]]:
        """Yield candidates, of each source first few, then more of them, as long as they do not fill the list; whether
        that is all.

        Where rules weigh products, or sources are mixed, all are there at once: what is far behind may come out on top.
        Ratings and diversity move and mix those that are looked at.
        """
        at_once = rules.moves_far or not self._service.rules.blend.is_in_turn
        few = max(CONSIDERED_MIN, 3 * request.limit)
        sources: list[list[Candidate]] = []
        steps = self._steps(customer, request)
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

    def _steps(self, customer: Customer, request: Request) -> Sequence[Take]:
        """The sources in turn; those of one step are worth the same, so that they are taken together."""
        blend = self._service.rules.blend
        steps: list[Take] = []
        if blend.neighbours:
            steps.append(partial(self._best, self._from_neighbours(customer, request.looking_at)))
        if blend.trending_in_category:
            steps.append(partial(self._popular, [(category, None) for category in self._categories(customer)]))
        country = request.country or (None if customer.country is None else str(customer.country[0]))
        if country is not None and blend.trending_in_country:
            steps.append(partial(self._popular, [(None, country)]))
        if blend.trending:
            steps.append(partial(self._popular, [(None, None)]))
        return steps

    def _best(self, scores: Scores, count: int) -> tuple[list[list[Candidate]], bool]:
        return [self._service.from_neighbours(scores.best(count))], len(scores) > count

    def _popular(
        self, places: Sequence[tuple[str | None, str | None]], count: int
    ) -> tuple[list[list[Candidate]], bool]:
        """The first of what is trending in categories or countries, and whether there are more."""
        count = min(count, TRENDING_MAX)
        found = [self._from_trending(category, country, count) for category, country in places]
        return found, count < TRENDING_MAX and any(len(one) == count for one in found)

    def trending(self, limit: int, country: str | None = None) -> Recommendations:
        """Say what the whole shop, or a country, is looking at now, of what the filters of the settings let pass."""
        filters = self._service.rules.rules.filters
        source = self._from_trending(country=country, limit=max(limit, TRENDING_MAX))
        products = self._shop.products([one.product_id for one in source]) if filters.needs_descriptions else {}
        return self._explained(self._service.popular(source, filters, products, limit), products)

    def top_rated(self, prior_ratings: float, limit: int) -> tuple[TopRated, ...]:
        """Say which products people rate highest, of what the filters of the settings let pass.

        `prior_ratings` is how many average ratings each starts with.
        """
        refusal = self._service.rules.rules.refusal
        rated = self._shop.top_rated(prior_ratings, max(limit, TOP_RATED_MAX))
        products = self._shop.products([one.product_id for one in rated])
        found = (
            TopRated(products.get(one.product_id, Product(one.product_id)), one.average, one.ratings) for one in rated
        )
        return tuple(one for one in found if refusal(one.product) is None)[:limit]

    def _from_neighbours(self, customer: Customer, looking_at: Sequence[ProductId]) -> Scores:
        """What the sessions most like the customer's lead to."""
        session = self._service.interests(customer, looking_at)
        rules = self._service.rules.neighbours
        lists = self._views.sessions_of(list(session)[-rules.last :], rules.m)
        own = {one.key for one in customer.open_sessions} | set(customer.closed_sessions)
        neighbours = nearest(session, lists, rules, own)
        found = score(session, neighbours, self._cells.trails(neighbours.keys()), rules)
        return found.weighed(self._shop.rarities_of(found.scores.keys()), rules.rarity) if rules.rarity else found

    def _from_trending(
        self, category: str | None = None, country: str | None = None, limit: int = TRENDING_MAX
    ) -> list[Candidate]:
        rules = self._service.rules.trending
        popular = self._shop.trending(rules, category, country, max(limit, TRENDING_MAX))[:limit]
        return self._service.from_trending(popular, category, country)

    def _categories(self, customer: Customer) -> list[str]:
        favourites = customer.favourite_categories(self._affinity_half_life_ms)
        return [category for category, _ in favourites[: self._service.rules.categories]]

    def _explained(self, ranking: Ranking, described: Mapping[ProductId, Product]) -> Recommendations:
        """Describe what is shown, and what it is shown for, as far as it is not described yet."""
        chosen = ranking.chosen
        wanted = {one.product_id for one in chosen} | {id_ for one in chosen for id_ in one.reason.because_of}
        lacking = wanted - described.keys()
        return self._service.explain(ranking, {**described, **self._shop.products(lacking)} if lacking else described)
