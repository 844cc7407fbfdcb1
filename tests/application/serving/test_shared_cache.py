"""Reading what is the same for everybody, while many ask."""

from collections.abc import Collection, Iterator, Sequence
from threading import Event, Thread

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Container, ListRules, Pipeline, Settings
from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.serving.shared_cache import LIST_DEPTHS, CacheSettings
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.neighbours import NeighbourSettings
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.recommendation.trending import TrendingProduct, TrendingSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.infrastructure.memory.product_queries import MemoryProductQueries
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import NOW_MS, SetClock, append, event, visits


class SlowQueries(MemoryProductQueries):
    """Queries that are answered as slowly as a test wants."""

    def __init__(self, views: MemoryViews) -> None:
        super().__init__(views)
        self.asked, self.may_answer = Event(), Event()
        self.may_answer.set()

    def trending(
        self,
        settings: TrendingSettings,
        category: str | None,
        limit: int,
        country: str | None = None,
        max_staleness_ms: int = 0,
        now_ms: int = END_OF_TIME,
    ) -> Sequence[TrendingProduct]:
        """Answer when told to."""
        self.asked.set()
        assert self.may_answer.wait(30)
        return super().trending(settings, category, limit, country, max_staleness_ms, now_ms)


class Stock(Catalogue):
    """A shop's own system, which knows what is sold out at this moment."""

    def __init__(self) -> None:
        self.sold_out: set[str] = set()
        self.asked: set[str] = set()

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Say what is there."""
        self.asked.update(product_ids)
        return {id_: Product(id_, in_stock=id_ not in self.sold_out) for id_ in product_ids}


@attrs.frozen
class Shop:
    """A pipeline, and what it stands on."""

    pipeline: Pipeline
    views: SlowQueries
    clock: SetClock
    stock: Stock

    def sees(self, *looks: str, name: str | None = None) -> None:
        """Somebody looks at products, that are called so now."""
        for product in looks:
            append(self.pipeline, [event(at_ms=NOW_MS, product=product, **({} if name is None else {"name": name}))])
        self.pipeline.process()

    def trending(self) -> list[str]:
        """What is trending, by name."""
        return [entry.product.title for entry in self.pipeline.trending()]


@pytest.fixture
def shop() -> Iterator[Shop]:
    container, clock, stock = Container(), SetClock(), Stock()
    merged = MemoryViews(1, listed_sessions_max=10, activity_retention_hours=100)
    views = SlowQueries(merged)
    container.views.override(providers.Object(merged))
    container.product_queries.override(providers.Object(views))
    container.clock.override(providers.Object(clock))
    container.catalogue.override(providers.Object(stock))
    cache = CacheSettings(trending_ms=1_000, products_ms=5_000)
    with Pipeline(Settings(log="memory", store="memory", cache=cache), container) as pipeline:
        yield Shop(pipeline, views, clock, stock)


def test_while_one_request_reads_what_is_trending_the_others_get_what_was_read_before(shop: Shop) -> None:
    shop.sees("mug")
    assert shop.trending() == ["mug"]
    shop.sees("jug", "jug")
    shop.clock.at_ms += 999
    assert shop.trending() == ["mug"]  # it was read just now
    shop.clock.at_ms += 1
    shop.views.asked.clear()
    shop.views.may_answer.clear()
    found: list[list[str]] = []
    reader = Thread(target=lambda: found.append(shop.trending()))
    reader.start()
    assert shop.views.asked.wait(30)
    assert shop.trending() == ["mug"]
    shop.views.may_answer.set()
    reader.join(30)
    assert found == [["jug", "mug"]]
    assert shop.trending() == ["jug", "mug"]


def test_what_events_say_of_a_product_may_be_as_old_as_the_settings_say(shop: Shop) -> None:
    shop.sees("m1", name="Mug")
    assert shop.trending() == ["Mug"]
    shop.sees("m1", name="Teapot")
    shop.clock.at_ms += 4_999
    assert shop.trending() == ["Mug"]
    shop.clock.at_ms += 1
    assert shop.trending() == ["Teapot"]


def test_what_is_rated_highest_may_be_as_old_as_what_is_trending(shop: Shop) -> None:
    def rate(product: str, rating: int) -> None:
        append(shop.pipeline, [event(kind="review", at_ms=NOW_MS, product=product, rating=rating)])
        shop.pipeline.process()

    def top_rated(limit: int) -> list[str]:
        return [entry.product.product_id for entry in shop.pipeline.top_rated(limit)]

    rate("mug", 4)
    assert top_rated(3) == ["mug"]
    rate("jug", 5)
    shop.clock.at_ms += 999
    assert top_rated(3) == ["mug"]
    assert top_rated(LIST_DEPTHS[-1] + 1) == ["jug", "mug"]
    shop.clock.at_ms += 1
    assert (top_rated(1), top_rated(2)) == (["jug"], ["jug", "mug"])


def test_a_product_of_which_nothing_was_known_is_known_at_once(shop: Shop) -> None:
    shop.sees("m1", "m1", name="Mug")
    assert shop.trending() == ["Mug"]
    shop.sees("j1", name="Jug")
    shop.sees("m1", name="Teapot")
    shop.clock.at_ms += 1_000  # what is trending is read again, what is known of products is not
    assert shop.trending() == ["Mug", "Jug"]


def test_the_catalogue_is_asked_at_every_request_and_completed_by_what_events_say(shop: Shop) -> None:
    shop.sees("m1", "m1", "m2", name="Mug")
    rules = ListRules(in_stock=True)
    before = shop.pipeline.recommend("bob", rules=rules)
    shop.stock.sold_out.add("m1")
    after = shop.pipeline.recommend("bob", rules=rules)
    assert [entry.product for entry in before] == [
        Product(ProductId(id_), "Mug", in_stock=True) for id_ in ("m1", "m2")
    ]
    assert [entry.product.product_id for entry in after] == ["m2"]


def test_products_that_are_remembered_are_let_go_of_when_they_are_too_many(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_pipeline.application.serving.shared_cache.PRODUCTS_MAX", 1)
    shop.sees("m1", "m1", "j1", name="Mug")
    assert shop.trending() == ["Mug", "Mug"]
    shop.sees("m1", name="Teapot")
    shop.clock.at_ms += 1_000
    assert shop.trending() == ["Teapot", "Mug"]


def test_only_lists_with_as_many_sessions_as_are_looked_at_may_be_old() -> None:
    container, clock = Container(), SetClock()
    container.clock.override(providers.Object(clock))
    settings = Settings(
        log="memory",
        store="memory",
        cache=CacheSettings(lists_ms=2_000),
        recommendations=RecommendationSettings(NeighbourSettings(m=2, k=2), blend=Blend(4.0, 0.0, 0.0, 0.0)),
    )
    with Pipeline(settings, container) as pipeline:

        def see(*visits_of: Sequence[str]) -> None:
            for number, products in enumerate(visits_of):
                append(pipeline, visits(f"{products}-{number}", *products))
            pipeline.process()

        def similar(product: str) -> set[str]:
            return {entry.product.product_id for entry in pipeline.similar(product)}

        see(["mug", "jug"], ["mug", "cup"], ["tea", "pot"])
        assert (similar("mug"), similar("tea")) == ({"jug", "cup"}, {"pot"})
        see(["mug", "pan"], ["mug", "lid"], ["tea", "tin"])
        clock.at_ms += 1_999
        assert (similar("mug"), similar("tea")) == ({"jug", "cup"}, {"pot", "tin"})
        clock.at_ms += 1
        assert similar("mug") == {"pan", "lid"}


def test_the_catalogue_is_asked_only_for_what_is_shown_where_no_rule_goes_by_it(shop: Shop) -> None:
    for number in range(30):
        append(shop.pipeline, visits(f"u{number}", "mug", f"p{number}", f"q{number}"))
    shop.pipeline.process()
    found = shop.pipeline.recommend("eve", 3, looking_at=["mug"])
    assert shop.stock.asked == {"mug", *(entry.product.product_id for entry in found)}
