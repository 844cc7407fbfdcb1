"""The catalogue in the store: facts of products, the stock that is left, and products that the shop has removed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.checking.compare import compare
from realtime_pipeline import (
    FileFormat,
    FileSource,
    InvalidEvents,
    ListRules,
    Pipeline,
    Settings,
)
from realtime_pipeline.application.serving.shared_cache import CacheSettings
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import NOW_MS, event, opened

SETTINGS = Settings(log="memory", store="memory", partitions=1, cache=CacheSettings(0, 0, 0))
HOUR_MS = 3_600_000


def stated(
    product: str, at_ms: int = NOW_MS - 50_000, kind: str = "product_updated", **facts: object
) -> dict[str, object]:
    return {"event_type": kind, "timestamp": at_ms, "properties": {"product_id": product, **facts}}


def sold(number: int, product: str, at_ms: int, quantity: int = 1, user: str = "ada") -> dict[str, object]:
    return event(f"s{number}", "purchase", user, at_ms, product=product, quantity=quantity, price=5.0)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with opened(SETTINGS) as opened_pipeline:
        yield opened_pipeline
        assert compare(opened_pipeline)[1] == []


def process(pipeline: Pipeline, *documents: dict[str, object]) -> dict[RecordClass, int]:
    if documents:
        pipeline.publish(documents)
    return dict(pipeline.process())


def test_a_catalogue_describes_products_before_what_events_say(pipeline: Pipeline) -> None:
    facts: dict[str, Any] = {
        "name": "A mug",
        "category": "kitchen",
        "price": 12.5,
        "stock": 4,
        "image_url": "https://a.example/m.png",
    }
    process(
        pipeline,
        stated("mug", text="Holds 300 ml.", **facts),
        event("1", "view", product="mug", name="mug!!", category="misc", price=9.9, at_ms=NOW_MS - 1_000),
        event("2", "view", product="jug", name="A jug", price=3.0),
    )
    mug = pipeline.product("mug")
    assert (mug.name, mug.category, mug.price, mug.stock, mug.in_stock) == (
        "A mug",
        "kitchen",
        Amount(125_000),
        4,
        True,
    )
    assert (mug.image_url, mug.text) == ("https://a.example/m.png", "Holds 300 ml.")
    assert pipeline.recommend("bob").items[0].product in (mug, pipeline.product("jug"))
    assert (pipeline.product("jug").name, pipeline.product("jug").stock) == ("A jug", None)


def test_a_fact_that_is_not_stated_stays(pipeline: Pipeline) -> None:
    process(pipeline, stated("mug", name="A mug", price=5, stock=3))
    process(
        pipeline,
        stated("mug", NOW_MS - 40_000, price=6, name=None, category=""),
        stated("mug", NOW_MS - 60_000, price=4),
    )
    mug = pipeline.product("mug")
    assert (mug.name, mug.price, mug.category, mug.stock) == ("A mug", Amount(60_000), None, 3)


def test_sales_reduce_the_stock_whenever_they_come(pipeline: Pipeline) -> None:
    at_ms = NOW_MS - 50_000
    process(pipeline, sold(1, "mug", at_ms + 5, 2), sold(2, "mug", at_ms - 5, 100))
    process(pipeline, stated("mug", at_ms, "stock_set", stock=10))
    process(pipeline, sold(3, "mug", at_ms + 1, 3), sold(3, "mug", at_ms + 1, 3), sold(4, "mug", at_ms, 50))
    assert pipeline.product("mug").stock == 5
    process(pipeline, stated("mug", at_ms, "stock_set", stock=10), sold(5, "mug", at_ms + 9, 7))
    assert (pipeline.product("mug").stock, pipeline.product("mug").in_stock) == (0, False)
    process(pipeline, stated("mug", at_ms + 100, "stock_set", stock=2))
    assert pipeline.product("mug").stock == 2


def test_a_cancellation_puts_nothing_back_on_the_shelf(pipeline: Pipeline) -> None:
    at_ms = NOW_MS - 50_000
    cancelled = event("c", "cancellation", "ada", at_ms + 9, product="mug", quantity=2, price=5.0)
    process(pipeline, stated("mug", at_ms, stock=5), sold(1, "mug", at_ms + 5, 2), cancelled)
    assert pipeline.product("mug").stock == 3


def test_a_purchase_that_a_visitor_and_the_customer_have_both_counted_is_sold_once(pipeline: Pipeline) -> None:
    at_ms = NOW_MS - 50_000
    mine = event("p", "purchase", "ada", at_ms + 5, "s1", product="mug", quantity=2, price=5.0)
    process(pipeline, stated("mug", at_ms, stock=9), {**mine, "user_id": None}, mine)
    process(pipeline, event("in", "login", "ada", at_ms + 9, "s1"))
    assert pipeline.product("mug").stock == 7


def test_a_removed_product_is_in_no_list_until_it_is_listed_again() -> None:
    """Nor is one that is sold out, where the rules say so."""
    rules = ListRules(exploration_share=0.5)
    settings = Settings(
        log="memory", store="memory", cache=CacheSettings(0, 0, 0), recommendations=RecommendationSettings(rules=rules)
    )
    with opened(settings) as pipeline:
        visits = [
            event(f"{user}{n}", "view", user, product=n) for user in ("bob", "cyd") for n in ("mug", "jug", "pan")
        ]
        reviews = [event(f"r{n}", "review", "bob", product=n, rating=5) for n in ("mug", "jug")]
        process(pipeline, *visits, *reviews, event("a", "view", "ada", product="jug"), stated("new", name="New"))

        def listed() -> list[set[str]]:
            lists = [
                pipeline.recommend("ada"),
                pipeline.recommend("nobody", rules=ListRules(pinned={ProductId("mug"): 1})),
                pipeline.similar("pan"),
                pipeline.trending(),
            ]
            ids = [{str(entry.product.product_id) for entry in found} for found in lists]
            return [*ids, {str(rated.product.product_id) for rated in pipeline.top_rated()}]

        assert all("mug" in found for found in listed())
        process(
            pipeline, stated("mug", NOW_MS - 9_000, "product_removed"), stated("new", NOW_MS - 9_000, "product_removed")
        )
        assert not any({"mug", "new"} & found for found in listed())
        process(pipeline, stated("mug", NOW_MS - 8_000, stock=0))
        assert all("mug" in found for found in listed())
        in_stock = pipeline.recommend("nobody", rules=ListRules(in_stock=True))
        assert "mug" not in {entry.product.product_id for entry in in_stock}
        process(pipeline, stated("pan", kind="product_removed"), stated("jug", kind="product_removed"))
        process(pipeline, stated("mug", NOW_MS - 7_000, "product_removed"))
        assert pipeline.trending().items == ()
        assert pipeline.trending().notes == ("removed left nothing: it refused 3 of 3 products",)


def test_a_removed_product_is_not_pinned_in_a_list_with_exploration() -> None:
    """The product is none that exploration draws: many have seen it."""
    with opened(Settings(log="memory", store="memory", cache=CacheSettings(0, 0, 0))) as pipeline:
        seen = [event(f"v{number}", "view", f"user{number}", product="mug") for number in range(25)]
        process(pipeline, *seen, *(event(f"p{n}", "view", "bob", product=f"p{n}") for n in range(5)))
        rules = ListRules(pinned={ProductId("mug"): 1}, exploration_share=0.5)
        assert pipeline.recommend("nobody", 4, rules=rules)[0].product.product_id == "mug"
        process(pipeline, stated("mug", NOW_MS - 1_000, "product_removed"))
        assert "mug" not in {entry.product.product_id for entry in pipeline.recommend("nobody", 4, rules=rules)}


def test_products_that_nobody_has_seen_are_found_by_exploration() -> None:
    settings = Settings(log="memory", store="memory", cache=CacheSettings(0, 0, 0))
    with opened(settings) as pipeline:
        process(
            pipeline,
            event("1", "view", "ada", product="mug", category="kitchen"),
            stated("teapot", name="Teapot", category="kitchen"),
            stated("spade", category="garden"),
        )
        found = pipeline.recommend("ada", rules=ListRules(exploration_share=1.0))
        assert [entry.product.title for entry in found] == ["Teapot"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({**stated("mug"), "properties": {"name": "A mug"}}, "incomplete_product"),
        (stated("mug", kind="stock_set"), "incomplete_stock"),
        (stated("mug", kind="stock_set", stock=None), "incomplete_stock"),
        (stated("mug", kind="stock_set", stock=""), "incomplete_stock"),
        (stated("mug", kind="stock_set", Stock=5), "misspelt_field: Stock is unknown here; it is written stock"),
        (stated("mug", kind="stock_set", stock="5"), "invalid_stock"),
        (stated("mug", kind="stock_set", stock=1.5), "invalid_stock"),
        (stated("mug", kind="stock_set", stock=True), "invalid_stock"),
        (stated("mug", imageURL="x"), "misspelt_field: imageURL is unknown here; it is written image_url"),
        (stated("mug", image_url="u" * 2_001), "invalid_image_url"),
        (stated("mug", name=["A mug"]), "invalid_name: it must be text, not a list"),
        (stated("mug", price="5"), "invalid_price"),
        (stated("mug", price=1e12), "invalid_price"),
        (stated("mug", in_stock="perhaps"), "invalid_in_stock"),
        (stated("mu\ng"), "invalid_id"),
        (stated("mug") | {"replayed": "yes"}, "invalid_replayed"),
        (stated("mug", NOW_MS + 10 * HOUR_MS), "in_the_future"),
    ],
)
def test_what_cannot_be_stated_is_a_dead_letter(pipeline: Pipeline, document: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidEvents) if reason != "in_the_future" else opened(SETTINGS) as refused:
        pipeline.publish([document])
    if reason != "in_the_future":
        assert reason in str(refused.value)  # type: ignore[union-attr]
    else:
        assert process(pipeline)[RecordClass.DEAD_LETTER] == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (True, True),
        ("in stock", True),
        ("https://schema.org/InStock", True),
        ("preorder", True),
        ("https://schema.org/PreSale", True),
        ("https://schema.org/MadeToOrder", True),
        ("https://schema.org/OnlineOnly", True),
        ("in store only", True),
        ("OUT_OF_STOCK", False),
        (0, False),
    ],
)
def test_availability_is_read_as_feeds_write_it(pipeline: Pipeline, written: object, meant: bool) -> None:
    process(pipeline, stated("mug", in_stock=written))
    assert (pipeline.product("mug").in_stock, pipeline.product("mug").stock) == (meant, None)


def test_of_stock_and_availability_the_later_counts(pipeline: Pipeline) -> None:
    process(pipeline, stated("mug", NOW_MS - 9_000, stock=5), stated("mug", NOW_MS - 8_000, in_stock=False))
    assert (pipeline.product("mug").in_stock, pipeline.product("mug").stock) == (False, 5)
    process(pipeline, stated("mug", NOW_MS - 7_000, "stock_set", stock=1))
    assert pipeline.product("mug").in_stock is True


@pytest.mark.parametrize(
    ("availability", "level", "units_sold", "in_stock"),
    [
        ("out of stock", 5, 0, False),
        ("out of stock", 0, 0, False),
        ("preorder", 0, 0, True),
        ("in stock", 5, 4, True),
        ("in stock", 5, 5, False),
        (None, 0, 0, False),
    ],
)
def test_stock_and_availability_of_one_row_agree(
    pipeline: Pipeline, availability: str | None, level: int, units_sold: int, in_stock: bool
) -> None:
    process(pipeline, stated("mug", in_stock=availability, stock=level))
    if units_sold:
        process(pipeline, sold(1, "mug", NOW_MS - 9_000, units_sold))
    assert pipeline.product("mug").in_stock is in_stock


def test_a_stock_level_far_behind_other_events_is_a_dead_letter(pipeline: Pipeline) -> None:
    late = stated("mug", NOW_MS - 25 * HOUR_MS, "stock_set", stock=5)
    in_time = stated("mug", NOW_MS - 23 * HOUR_MS, "stock_set", stock=6)
    process(pipeline, event("1", at_ms=NOW_MS, product="jug"), event("2", at_ms=NOW_MS, product="jug"), late, in_time)
    assert pipeline.product("mug").stock == 6
    assert [letter.code for letter in pipeline.dead_letters()] == ["stock_too_late"]


def test_an_import_does_not_move_the_shops_time(pipeline: Pipeline) -> None:
    """What a customer did before the time of the import is no later than it was, and still counts."""
    process(pipeline, event("1", at_ms=NOW_MS - 9 * HOUR_MS, product="mug"))
    before = pipeline.container.product_queries().watermarks()
    process(pipeline, stated("jug", NOW_MS, stock=3), stated("jug", NOW_MS, stock=4))
    after = pipeline.container.product_queries().watermarks()
    assert {n: (mark.at_ms, mark.largest_ms) for n, mark in after.items()} == {
        n: (mark.at_ms, mark.largest_ms) for n, mark in before.items()
    }
    process(pipeline, stated("mug", NOW_MS - 40 * HOUR_MS, "stock_set", stock=7))
    assert pipeline.product("mug").stock is None
    process(pipeline, stated("mug", NOW_MS - 30 * HOUR_MS, "stock_set", stock=7))
    assert pipeline.product("mug").stock == 7


def test_an_import_says_which_levels_are_too_late_or_in_the_future(pipeline: Pipeline, tmp_path: Path) -> None:
    source = products_in(tmp_path, "mug,A mug,5,3", "jug,A jug,6,")
    early = pipeline.import_catalogue(source, at_ms=NOW_MS - 40 * HOUR_MS)
    assert (early.invalid, early.first_invalid) == (0, "")  # nothing was sold in the shop after it
    process(pipeline, event("1", at_ms=NOW_MS, product="jug"), event("2", at_ms=NOW_MS, product="jug"))
    late = pipeline.import_catalogue(source, at_ms=NOW_MS - 40 * HOUR_MS)
    assert (late.invalid, late.products) == (1, 1)
    assert "products.csv:2: stock_too_late" in late.first_invalid
    ahead = pipeline.import_catalogue(source, at_ms=NOW_MS + HOUR_MS)
    assert ahead.invalid == 2
    assert "in_the_future" in ahead.first_invalid
    with pytest.raises(InvalidEvents, match="no product was removed"):
        pipeline.import_catalogue(products_in(tmp_path, "mug,A mug,5,3"), "products", NOW_MS + HOUR_MS, 1.0)
    assert process(pipeline)[RecordClass.DEAD_LETTER] == 1 + 2 + 1


def products_in(folder: Path, *rows: str) -> FileSource:
    file = folder / "products.csv"
    file.write_text("\n".join(["id,title,price,stock", *rows]) + "\n", "utf-8")
    return FileSource("products", [file], FileFormat("csv"))


def test_an_import_can_be_repeated_and_removes_what_is_missing(pipeline: Pipeline, tmp_path: Path) -> None:
    first = pipeline.import_catalogue(products_in(tmp_path, "mug,A mug,5,3", "jug,A jug,6,0", "pan,A pan,7,"))
    assert (first.published, first.products, first.invalid, first.removed) == (3, 3, 0, 0)
    process(pipeline)
    again = pipeline.import_catalogue(
        products_in(tmp_path, "mug,Mug,5,2", "jug,A jug,6,0"), at_ms=NOW_MS + 1, removed_max_share=0.5
    )
    assert (again.published, again.products, again.removed) == (3, 2, 1)
    process(pipeline)
    assert [pipeline.product(id_).is_removed for id_ in ("mug", "jug", "pan")] == [False, False, True]
    assert (pipeline.product("mug").name, pipeline.product("mug").stock, pipeline.product("jug").in_stock) == (
        "Mug",
        2,
        False,
    )
    assert pipeline.product("pan").stock is None


def test_an_import_never_removes_most_products_nor_any_beside_invalid_rows(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = [f"p{number},Product,5,1" for number in range(10)]
    pipeline.import_catalogue(products_in(tmp_path, *rows))
    process(pipeline)
    with pytest.raises(InvalidEvents, match=r"no product was removed: 6 of 10 products are not in the source"):
        pipeline.import_catalogue(products_in(tmp_path, *rows[:4]), removed_max_share=0.5)
    with pytest.raises(
        InvalidEvents, match=r"no product was removed: 1 event of the source are invalid|invalid, and may"
    ):
        pipeline.import_catalogue(products_in(tmp_path, *rows[:8], "p8,Product,none,1"), removed_max_share=0.5)
    process(pipeline)
    assert not any(pipeline.product(f"p{number}").is_removed for number in range(10))


def test_a_file_written_earlier_is_imported_as_of_then(pipeline: Pipeline, tmp_path: Path) -> None:
    written_ms = NOW_MS - HOUR_MS
    process(pipeline, sold(1, "mug", written_ms + 5, 2), sold(2, "mug", written_ms - 5, 9))
    pipeline.import_catalogue(products_in(tmp_path, "mug,A mug,5,10"), at_ms=written_ms)
    process(pipeline)
    assert pipeline.product("mug").stock == 8
    assert datetime.fromtimestamp(written_ms / 1000, UTC).year == 2025


def test_an_import_by_a_mapping_of_other_events_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "rees46.csv"
    file.write_text(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,1,2,a.b,c,5,7,s\n",
        "utf-8",
    )
    with pytest.raises(InvalidEvents, match="it becomes an event product_viewed: the mapping of an import makes"):
        pipeline.import_catalogue(FileSource("products", [file], FileFormat("csv")), "rees46")
