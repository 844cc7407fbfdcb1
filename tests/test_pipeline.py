"""The pipeline as a program that imports it knows it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Container, ListRules, Pipeline, PipelineError, Settings
from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.shop_cache import CacheRules
from realtime_pipeline.domain.recommendation.ranking import Blend
from realtime_pipeline.domain.recommendation.reasons import ReasonKind
from realtime_pipeline.domain.recommendation.service import RecommendationRules
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.catalogue import MemoryCatalogue
from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from realtime_pipeline.report import profile_in_words
from tests.histories import KINDS, Kind, append, embedded, event

HOUR_MS = 3_600_000


def visits(user: str, *products: str, at_ms: int = HOUR_MS) -> list[dict[str, object]]:
    return [
        event(f"{user}-{product}-{at_ms}", user=user, at_ms=at_ms + step * 1_000, product=product, category="kitchen")
        for step, product in enumerate(products)
    ]


def test_everything_in_memory() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        assert pipeline.publish(visits("ada", "mug", "jug")) == 2
        assert pipeline.process() == {RecordClass.APPLIED: 2}
        assert pipeline.profile("ada").customer.sessions_begun == 1


def test_what_is_wrong_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match=r"event 2 of 2: invalid_timestamp"):
            pipeline.publish([*visits("ada", "mug"), {"event_type": "view", "timestamp": "now"}])
        assert pipeline.process() == {}


def test_a_store_swapped_for_another_by_the_container(tmp_path: Path) -> None:
    """The log in SQLite, all stores in memory: nothing else changes."""
    container = Container()
    cells = MemoryCellStore(session_keep_ms=10**9)
    container.cells.override(providers.Object(cells))
    container.views.override(providers.Object(MemoryViews(2, listed_sessions_max=10)))
    with Pipeline(Settings(database=str(tmp_path / "shop.db")), container) as pipeline:
        container.outputs.override(providers.Object(MemoryOutputs(container.publisher())))
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("bob")] == ["jug"]
        assert cells.customer(CustomerId("ada")) is not None
        assert container.database().rows("SELECT count(*) FROM customers") == [(0,)]


def test_neighbours_come_first_then_the_category_then_the_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")] * 1)
        pipeline.process()
        recommended = pipeline.recommend("bob")
        assert [(one.product.product_id, one.reason.kind) for one in recommended] == [
            ("jug", ReasonKind.NEIGHBOURS),
            ("pan", ReasonKind.TRENDING_IN_CATEGORY),
            ("tent", ReasonKind.TRENDING),
        ]
        assert recommended[0].because == "you looked at mug: 1 visitor with the same interest chose this too"
        assert recommended[1].because == "popular in kitchen, which you like: looked at or bought once lately"
        assert recommended[2].because == "popular in the whole shop: looked at or bought once lately"
        assert len(pipeline.recommend("bob", limit=1)) == 1


def test_a_list_keeps_to_the_rules_of_its_request(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan"), *visits("bob", "mug")])
        pipeline.publish([event("tent", user="dan", at_ms=HOUR_MS, product="tent", category="outdoor")])
        pipeline.publish([event("bad", "review", user="bob", at_ms=HOUR_MS, product="pan", rating=1)])
        pipeline.process()

        def listed(**rules: Any) -> list[str]:
            return [one.product.product_id for one in pipeline.recommend("bob", rules=ListRules(**rules))]

        assert listed() == ["jug", "tent"]  # bob does not like the pan
        assert listed(exclude=frozenset(("jug",))) == ["tent"]
        assert listed(only_categories=frozenset(("outdoor",))) == ["tent"]
        assert listed(category_weights={"outdoor": 20.0}) == ["tent", "jug"]
        assert listed(pinned={"oven": 1}) == ["oven", "jug", "tent"]
        pinned = pipeline.recommend("bob", rules=ListRules(pinned={ProductId("oven"): 1}))
        assert pinned[0].because == "chosen by the shop"
        nothing = pipeline.recommend("bob", rules=ListRules(price_min=1e9))
        assert (len(nothing), nothing.notes) == (0, ("price_min left nothing: it refused 2 of 4 products",))


def test_the_rules_of_the_settings_hold_for_requests_without_any(tmp_path: Path) -> None:
    rules = attrs.evolve(Settings().recommendations, rules=ListRules(exclude=frozenset((ProductId("jug"),))))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=rules)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert list(pipeline.recommend("bob")) == []
        assert [one.product.product_id for one in pipeline.recommend("bob", rules=ListRules())] == ["jug"]


def test_who_is_new_is_served_by_what_they_look_at(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        recommended = pipeline.recommend("somebody new", looking_at=["pan"])
        assert (recommended[0].product.product_id, recommended[0].reason.because_of) == ("lid", ("pan",))
        assert "pan" not in [one.product.product_id for one in recommended]


def test_similar_products_are_those_of_sessions_with_the_product(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("cyd", "pan", "lid")])
        pipeline.process()
        similar = pipeline.similar("mug")
        assert (similar[0].product.product_id, similar[0].reason.because_of) == ("jug", ("mug",))
        assert "mug" not in [one.product.product_id for one in similar]
        assert [one.product.product_id for one in pipeline.similar("mug", limit=1)] == ["jug"]


def test_sources_that_are_worth_the_same_are_mixed(tmp_path: Path) -> None:
    mixed = attrs.evolve(Settings().recommendations, blend=Blend(1.0, 1.0, 1.0, 1.0))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=mixed)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug", "lid"), *visits("bob", "mug")])
        pipeline.publish([*visits("cyd", "tent"), *visits("dan", "tent"), *visits("eve", "tent")])
        pipeline.process()
        # What leads the trending list comes beside what leads the neighbours', and before their second.
        assert "tent" in [one.product.product_id for one in pipeline.recommend("bob", limit=2)]


@pytest.mark.parametrize("ask", ["recommend", "similar", "trending", "top_rated", "dead_letters"])
def test_a_list_of_none_is_refused(ask: str) -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        method = getattr(pipeline, ask)
        with pytest.raises(ValueError, match="limit must be at least 1, not -1"):
            method("ada", limit=-1) if ask in {"recommend", "similar"} else method(limit=-1)


def test_prices_of_a_catalogue_are_whole(tmp_path: Path) -> None:
    container = Container()
    mispriced = Product(ProductId("mug"), price=19.99)  # type: ignore[arg-type]
    container.catalogue.override(providers.Object(MemoryCatalogue({mispriced.product_id: mispriced})))
    with Pipeline(Settings(database=str(tmp_path / "shop.db")), container) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        with pytest.raises(TypeError, match=r"the price of mug is 19\.99: 19\.99 is written Amount\(199_900\)"):
            pipeline.trending()


@KINDS
def test_a_record_too_large_to_fold_is_forgotten_with_its_customer(kind: Kind, tmp_path: Path) -> None:
    with Pipeline(embedded(kind, tmp_path)) as pipeline:
        large = event("1", user="ada", product="mug", text="x" * 70_000)
        append(pipeline, [large, event("2", user="bob", product="mug")])
        pipeline.process()
        assert [(one.reason.partition(":")[0], one.customer_id) for one in pipeline.dead_letters()] == [
            ("too_large", "ada")
        ]
        pipeline.forget("ada")
        pipeline.process()
        assert pipeline.dead_letters() == []


def test_how_deep_an_event_may_be_does_not_depend_on_who_asks(tmp_path: Path) -> None:
    def nested(depth: int) -> bytes:
        head = b'{"event_type": "view", "user_id": "ada", "timestamp": 1, "event_id": "%d", "more": ' % depth
        return head + b"[" * depth + b'"[\\"["' + b"]" * depth + b"}"

    def deeper(frames: int, call: Callable[[], object]) -> object:
        return deeper(frames - 1, call) if frames else call()

    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        append(pipeline, [nested(60), nested(70), nested(970), nested(30_000)])
        first = deeper(200, pipeline.process)
        assert [one.reason for one in pipeline.dead_letters()] == ["nested: deeper than 64 levels"] * 3
        pipeline.rebuild()
        assert pipeline.process() == first


def test_a_source_that_is_worth_nothing_is_left_out(tmp_path: Path) -> None:
    trending_only = attrs.evolve(Settings().recommendations, blend=Blend(neighbours=0.0, trending_in_category=0.0))
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), recommendations=trending_only)) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert {one.reason.kind for one in pipeline.recommend("bob")} == {ReasonKind.TRENDING}


def test_what_a_list_starts_from_is_no_reason_for_itself(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(
            [*visits("ada", "mug", "jug"), *visits("bob", "mug"), *visits("bob", "pan", at_ms=9 * HOUR_MS)]
        )
        pipeline.process()
        found = pipeline.recommend("bob")  # who looked at mug in an earlier session
        assert found[0].product.product_id == "jug"
        assert all(one.product.product_id not in one.reason.because_of for one in found)
        assert "mug" not in [one.product.product_id for one in found if one.reason.kind is ReasonKind.NEIGHBOURS]


def test_what_was_bought_is_not_shown_again_where_the_rules_say_so(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("ada", "pan")])
        pipeline.publish([event("order", "purchase", user="bob", at_ms=1, product="jug", session="earlier")])
        pipeline.publish([event("look", user="bob", at_ms=HOUR_MS, product="mug", session="now")])
        pipeline.process()
        assert "jug" in [one.product.product_id for one in pipeline.recommend("bob")]
        found = pipeline.recommend("bob", rules=ListRules(hide_bought=True))
        assert "jug" not in [one.product.product_id for one in found]
        shown = pipeline.recommend("bob", rules=ListRules(shown_max=2), shown={"jug": 2})
        assert "jug" not in [one.product.product_id for one in shown]


def test_what_is_new_gets_some_of_the_places(tmp_path: Path) -> None:
    new = [Product(ProductId(f"new-{number}"), category="kitchen") for number in range(9)]
    sold_out = Product(ProductId("gone"), category="kitchen", in_stock=False)
    elsewhere = Product(ProductId("tent"), category="outdoor")
    rules = ListRules(explore=0.5, explore_below=2, in_stock=True)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        known = {one.product_id: one for one in (*new, sold_out, elsewhere)}
        pipeline.container.products.override(providers.Object(known))
        for who in ("ada", "cyd", "eve"):
            pipeline.publish(visits(who, "mug", "jug", "pan"))
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()
        drawn = set()
        for _ in range(60):
            found = pipeline.recommend("bob", 4, rules=rules)
            assert [one.product.product_id for one in found][:2] == ["jug", "pan"]
            assert {one.reason.kind for one in found[2:]} == {ReasonKind.NEW}
            assert found[2].because == "new in kitchen: few have seen it yet"
            drawn |= {one.product.product_id for one in found[2:]}
        assert drawn == {one.product_id for one in new}
        for who in ("ada", "cyd"):
            pipeline.publish(visits(who, "new-0", at_ms=2 * HOUR_MS))
        pipeline.process()
        later = [one.product.product_id for _ in range(60) for one in pipeline.recommend("bob", 4, rules=rules)[2:]]
        assert "new-0" not in later  # it is new no more


def test_what_was_shown_often_enough_gives_way(tmp_path: Path) -> None:
    often, twice = ListRules(), ListRules(shown_max=2)
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        seen = {"ada": ("mug", "jug", "pan"), "cyd": ("mug", "jug"), "bob": ("mug",)}
        now_ms = pipeline.container.clock().now_ms() - HOUR_MS  # lists are shown now, and what was long ago expires
        pipeline.publish([one for who, products in seen.items() for one in visits(who, *products, at_ms=now_ms)])
        pipeline.process()
        for _ in range(2):
            found = pipeline.recommend("bob", 1, rules=twice)
            assert [one.product.product_id for one in found] == ["jug"]
            pipeline.note_shown("bob", found)
            pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("bob", 1, rules=twice)] == ["pan"]
        assert [one.product.product_id for one in pipeline.recommend("bob", 1, rules=often)] == ["jug"]
        assert {id_: times for id_, (times, _) in pipeline.profile("bob").customer.shown.items()} == {"jug": 2}
        pipeline.note_shown("bob", ["pan", "pan"])  # a list has a product once
        with pytest.raises(InvalidEvents, match="incomplete_exposure"):
            pipeline.note_shown("bob", [])
        with pytest.raises(TypeError, match="is a list of products"):
            pipeline.note_shown("bob", "pan")


def test_somebody_new_gets_what_is_trending(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"), cache=CacheRules(trending_ms=0))) as pipeline:
        assert list(pipeline.recommend("zoe")) == []
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.recommend("zoe")] == ["mug", "jug"]
        assert pipeline.recommend("zoe") == pipeline.trending()


def test_what_is_trending_where_the_customer_is_comes_before_the_whole_shop(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for number, (country, product) in enumerate([("FR", "mug")] * 3 + [("DE", "jug")] * 2 + [("nowhere", "pan")]):
            look = event(f"look-{number}", user=f"visitor-{number}", product=product)
            pipeline.publish([{**look, "context": {"country": country}}])
        pipeline.publish([{**event("there", user="bob", product="tent"), "context": {"country": "de"}}])
        pipeline.process()
        assert [one.product.product_id for one in pipeline.trending()] == ["mug", "jug", "pan", "tent"]
        assert [one.product.product_id for one in pipeline.trending(country="de")] == ["jug", "tent"]
        assert [one.product.product_id for one in pipeline.trending(country="IT")] == []
        for found in (pipeline.recommend("bob"), pipeline.recommend("zoe", country="DE")):
            ids = [one.product.product_id for one in found]
            assert [product_id for product_id in ids if product_id != "tent"] == ["jug", "mug", "pan"]
            assert found[0].reason.kind is ReasonKind.TRENDING_IN_COUNTRY
            assert found[0].because == "popular in DE, where you are: looked at or bought 2 times lately"
        assert pipeline.recommend("bob", country="FR")[0].product.product_id == "mug"
        assert pipeline.recommend("zoe")[0].reason.kind is ReasonKind.TRENDING
        assert "  is in      DE" in profile_in_words(pipeline.profile("bob"))
        with pytest.raises(ValueError, match="a country is two letters, as DE, not Germany"):
            pipeline.recommend("zoe", country="Germany")


def test_a_session_of_ones_own_is_no_neighbour(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.publish(visits("ada", "mug", at_ms=9 * HOUR_MS))
        pipeline.process()
        assert pipeline.profile("ada").customer.sessions_begun == 2
        assert {one.reason.kind for one in pipeline.recommend("ada")} == {ReasonKind.TRENDING_IN_CATEGORY}


def test_who_is_forgotten_leads_nobody_anywhere(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish([*visits("ada", "mug", "jug"), *visits("bob", "mug")])
        pipeline.process()
        assert pipeline.recommend("bob")[0].reason.kind is ReasonKind.NEIGHBOURS
        pipeline.forget("ada")
        pipeline.process()
        assert {one.reason.kind for one in pipeline.recommend("bob")} == {ReasonKind.TRENDING_IN_CATEGORY}
        with pytest.raises(PipelineError, match="nothing is known of customer ada"):
            pipeline.profile("ada")


@KINDS
def test_processing_in_the_background_while_others_publish_and_read(kind: Kind, tmp_path: Path) -> None:
    with Pipeline(embedded(kind, tmp_path, Settings())) as pipeline:

        def publish(user: str) -> None:
            for number in range(20):
                pipeline.publish(visits(user, "mug", "jug", at_ms=(number + 1) * HOUR_MS))

        with pipeline.processing():
            publishers = [threading.Thread(target=publish, args=(f"user-{number}",)) for number in range(3)]
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join()
            deadline = time.monotonic() + 20
            while sum(pipeline.container.cells().counts().values()) < 120 and time.monotonic() < deadline:
                pipeline.recommend("user-0")
                time.sleep(0.01)
        assert pipeline.container.cells().counts() == {RecordClass.APPLIED: 120}
        assert [pipeline.profile(f"user-{number}").customer.sessions_begun for number in range(3)] == [20, 20, 20]


def test_an_error_in_the_background_reaches_who_started_it(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        pipeline.publish(visits("ada", "mug"))
        pipeline.process()
        with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as other:

            def take_over() -> None:
                with pipeline.processing():
                    other.process()
                    time.sleep(0.2)

            with pytest.raises(PipelineError, match="another worker has taken over"):
                take_over()


def test_one_pipeline_processes_once_at_a_time(tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pipeline.processing(), pytest.raises(PipelineError, match="processing already"):
            pipeline.process()
        pipeline.publish(visits("ada", "mug"))
        processed: list[object] = []
        other = threading.Thread(target=lambda: processed.append(pipeline.process()))  # another connection
        other.start()
        other.join(10)
        assert processed == [{RecordClass.APPLIED: 1}]


def test_publishing_is_all_or_none_however_much_it_is(tmp_path: Path) -> None:
    many = [event(f"e{number}", user=f"u{number}", at_ms=HOUR_MS) for number in range(5_000)]
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        with pytest.raises(PipelineError, match="event 5001 of 5001"):
            pipeline.publish([*many, {"event_type": "view"}])
        assert pipeline.process() == {}
        pipeline.publish(many)
        assert pipeline.process() == {RecordClass.APPLIED: 5_000}


@pytest.mark.parametrize("name", ["", "\udcff", "a\nb", "x" * 200])
def test_what_can_be_nobodys_id_is_refused(name: str, tmp_path: Path) -> None:
    with Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline:
        for ask in (pipeline.recommend, pipeline.profile, pipeline.forget):
            with pytest.raises(PipelineError, match="is no customer's id"):
                ask(name)


@pytest.mark.parametrize("value", ["\udcff", object(), float("nan"), [[[[[[1]]]]]]])
def test_what_makes_no_event_is_refused(value: object, tmp_path: Path) -> None:
    broken = event("e1", at_ms=HOUR_MS, product="mug") | {"timestamp": value}
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(PipelineError, match="event 1"),
    ):
        pipeline.publish([broken])


def test_what_was_seen_in_the_session_is_repeated_only_where_that_is_wanted(tmp_path: Path) -> None:
    for wanted in (False, True):
        rules = RecommendationRules(repeat_seen=wanted)
        with Pipeline(Settings(database=str(tmp_path / f"{wanted}.db"), recommendations=rules)) as pipeline:
            pipeline.publish([*visits("ada", "mug", "jug", "pan"), *visits("bob", "mug", "jug")])
            pipeline.process()
            recommended = [one.product.product_id for one in pipeline.recommend("bob")]
            assert ("mug" in recommended) is wanted
            assert "pan" in recommended


def test_a_limit_must_be_one_or_more(tmp_path: Path) -> None:
    with (
        Pipeline(Settings(database=str(tmp_path / "shop.db"))) as pipeline,
        pytest.raises(ValueError, match="at least 1"),
    ):
        pipeline.recommend("ada", limit=0)
