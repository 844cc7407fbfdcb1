"""Windows as a program that imports the pipeline knows them: every value is computed by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import UnknownWindow
from realtime_pipeline.composition.settings import AnalyticsSettings, QualitySettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.pane_table import NOTES_MS, Notes, PaneTable
from realtime_pipeline.domain.analytics.panes import PaneId
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import Condition, FieldTest
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.support.histories import event, opened

T_MS = 29_333_000 * 60_000
"""The start of a minute, some hours before the tests' clock: 2025-10-09T03:20:00Z."""
T = datetime(2025, 10, 9, 3, 20, tzinfo=UTC)
MINUTE = Window(60_000)
COUNT = {"n": Measure("count")}
PURCHASE: dict[str, Condition] = {"event_type": "product_purchased"}
SALES = WindowedAggregate(
    "sales",
    MINUTE,
    {
        "orders": Measure("distinct", "order_id", where=PURCHASE),
        "units": Measure("sum", "quantity", where=PURCHASE),
        "gross": Measure("sum", "amount", where=PURCHASE),
        "net": Measure("sum", "net_amount"),
        "line": Measure("mean", "amount", where=PURCHASE),
        "refunds": Measure("ratio", of_which={"event_type": "purchase_cancelled"}),
    },
    where={"event_type": ("product_purchased", "purchase_cancelled")},
)
VIEWS = WindowedAggregate(
    "views",
    MINUTE,
    COUNT,
    key=("product_id",),
    where={"event_type": "product_viewed"},
    lateness_ms=60_000,
)


def settings_for(*windows: WindowedAggregate, partitions: int = 1, **more: Any) -> Settings:
    return Settings(log="memory", store="memory", partitions=partitions, analytics=AnalyticsSettings(windows), **more)


def at(seconds: float) -> int:
    return T_MS + round(seconds * 1_000)


def view(event_id: str, seconds: float, product: str | None = "mug", **more: Any) -> dict[str, Any]:
    return event(event_id, at_ms=at(seconds), product=product, **more)


def run(pipeline: Pipeline, *documents: Mapping[str, object]) -> None:
    pipeline.publish(documents)
    pipeline.process()


def rows(
    pipeline: Pipeline, name: str, **arguments: Any
) -> list[tuple[int, Sequence[str | None] | None, dict[str, Any]]]:
    """Each window's start in seconds after T, its key, and its values."""
    items = pipeline.windows(name, **arguments).items
    return [((item.start_ms - T_MS) // 1_000, item.key, dict(item.values)) for item in items]


def counts(pipeline: Pipeline, name: str, **arguments: Any) -> list[tuple[int, Any, int]]:
    return [(start, key, values["n"]) for start, key, values in rows(pipeline, name, **arguments)]


def states(pipeline: Pipeline, name: str) -> list[str]:
    return [item.state.value for item in pipeline.windows(name).items]


def test_an_order_of_several_lines_and_its_refund_at_its_own_time() -> None:
    with opened(settings_for(SALES)) as pipeline:
        run(
            pipeline,
            # order o1: 2 mugs at 12.50 and a jug at 30.00; order o2: a mug at 12.50
            event("1", "purchase", at_ms=at(1), product="mug", price=12.5, quantity=2, order_id="o1"),
            event("2", "purchase", at_ms=at(1), product="jug", price=30, order_id="o1"),
            event("3", "purchase", "bob", at_ms=at(59.999), product="mug", price=12.5, order_id="o2"),
            event("4", "refund", at_ms=at(70), product="jug", price=30, order_id="o1"),
            event("5", "view", at_ms=at(70), product="jug", price=30),
            event("3", "purchase", "bob", at_ms=at(59.999), product="mug", price=12.5, order_id="o2"),  # once more
        )
        assert rows(pipeline, "sales") == [
            # 2 orders; 2 + 1 + 1 units; 25 + 30 + 12.5 = 67.5 in 3 lines of 22.5; 0 of 3 are refunds
            (0, (), {"orders": 2, "units": 4, "gross": 67.5, "net": 67.5, "line": 22.5, "refunds": 0}),
            (60, (), {"orders": 0, "units": 0, "gross": 0, "net": -30, "line": None, "refunds": 1}),
        ]
        document = pipeline.windows("sales").as_dict()
        assert (document["name"], document["late"]) == ("sales", 0)
        items = document["items"]
        assert isinstance(items, list)
        assert items[1] == {
            "start": "2025-10-09T03:21:00.000Z",
            "end": "2025-10-09T03:22:00.000Z",
            "key": [],
            "values": {"orders": 0, "units": 0, "gross": 0, "net": -30, "line": None, "refunds": 1},
            "state": "live",
            "partial": False,
        }


def test_money_adds_up_exactly() -> None:
    """Ten times 0.10 are 1, and not 0.9999999999999999."""
    with opened(settings_for(SALES)) as pipeline:
        run(pipeline, *(event(f"{n}", "purchase", at_ms=at(1), product="mug", price=0.1) for n in range(10)))
        assert rows(pipeline, "sales")[0][2]["gross"] == 1


def test_a_computed_field_and_a_ratio() -> None:
    hours = WindowedAggregate(
        "hours",
        Window(calendar="day", timezone="Europe/Berlin"),
        {"spent": Measure("sum", "spent"), "germans": Measure("ratio", of_which={"country": "DE"})},
        key=("hour",),
        derive={"spent": Derived(product=("price", "quantity")), "hour": Derived(hour_of_day="Europe/Berlin")},
    )
    with opened(settings_for(hours)) as pipeline:
        run(
            pipeline,
            # 3:20 UTC is 5:20 in Berlin: the day there began at 22:00 UTC, 5 hours and 20 minutes before
            event("1", "purchase", at_ms=at(0), product="mug", price=2.5, quantity=3) | {"context": {"country": "de"}},
            event("2", "purchase", at_ms=at(0), product="mug", price=0.5, quantity=1),
            event("3", "purchase", at_ms=at(2_400), product="mug", price=1, quantity=2),  # 6:00
        )
        begin = -(5 * 3_600 + 20 * 60)
        assert rows(pipeline, "hours") == [
            (begin, ("05",), {"spent": 8, "germans": 0.5}),
            (begin, ("06",), {"spent": 2, "germans": 0}),
        ]
        (first, _) = pipeline.windows("hours").items
        assert first.end_ms - first.start_ms == 86_400_000


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_the_events_of_a_visitor_who_signs_in_count_once(partitions: int) -> None:
    everything = WindowedAggregate(
        "everything",
        MINUTE,
        {
            "n": Measure("count"),
            "views": Measure("count", where={"event_type": "product_viewed"}),
            "customers": Measure("distinct", "customer_id"),
            "users": Measure("distinct", "user_id"),
        },
    )
    with opened(settings_for(everything, partitions=partitions)) as pipeline:
        run(pipeline, event("1", user=None, session="s1", at_ms=at(1), product="mug"))
        run(pipeline, event("2", "login", "ada", at_ms=at(2), session="s1"))
        run(pipeline, event("3", user=None, session="s1", at_ms=at(3), product="jug"))  # forwarded to ada
        for _ in range(3):
            pipeline.process()
        # the visitor of event 1 has no user; events 2 and 3 are of ada
        assert rows(pipeline, "everything") == [(0, (), {"n": 3, "views": 2, "customers": 2, "users": 1})]


def test_excluded_events_count_for_nothing() -> None:
    exclude = Exclusion(user_agents=("bot",), ids=("eve",))
    with opened(settings_for(VIEWS, quality=QualitySettings(exclude))) as pipeline:
        run(
            pipeline,
            view("1", 1) | {"context": {"user_agent": "ShopBot/2"}},
            view("2", 1, user="eve"),
            event("3", user=None, session="eve", at_ms=at(1), product="mug"),
            {"event_type": "view", "timestamp": at(1), "product_id": "mug", "context": {"user_agent": "a bot"}},
        )
        assert pipeline.windows("views").items == []
        run(pipeline, view("4", 1) | {"context": {"user_agent": "Mozilla/5.0"}})
        assert counts(pipeline, "views") == [(0, ("mug",), 1)]


def test_readings_of_a_sensor_without_customer_and_product() -> None:
    readings = WindowedAggregate(
        "readings",
        MINUTE,
        {
            "n": Measure("count"),
            "mean": Measure("mean", "properties.celsius"),
            "least": Measure("min", "properties.celsius"),
            "most": Measure("max", "properties.celsius"),
            "spread": Measure("variance", "properties.celsius"),
            "half": Measure("quantiles", "properties.celsius", quantiles=(0.5, 1)),
        },
        key=("properties.sensor",),
        where={"event_type": "sensor_reading"},
    )

    def reading(sensor: str | None, celsius: object, event_type: str = "sensor_reading") -> dict[str, object]:
        properties = {"sensor": sensor, "celsius": celsius}
        return {"event_type": event_type, "timestamp": at(1), "properties": properties}

    limits = EventLimits(custom=("sensor_reading", "heartbeat"))
    with opened(settings_for(readings, events=limits)) as pipeline:
        run(
            pipeline,
            *(reading("roof", celsius) for celsius in (-1.5, 2.5, "5", "broken", None, True)),
            reading(None, 7),
            reading("roof", 1_000, "heartbeat"),
        )
        (_, of_none, none), (start, key, roof) = rows(pipeline, "readings")
        assert (of_none, none["n"], none["mean"], none["spread"]) == ((None,), 1, 7, 0)
        # 3 of 6 readings have a number: (-1.5 + 2.5 + 5) / 3 = 2; of squares of 3.5, 0.5 and 3, (12.25 + 0.25 + 9)
        assert (start, key, roof["n"], roof["mean"], roof["least"], roof["most"]) == (0, ("roof",), 6, 2, -1.5, 5)
        assert roof["spread"] in (pytest.approx(21.5 / 3), pytest.approx(21.5 / 2))
        assert dict(roof["half"]) == {"p50": pytest.approx(2.5, rel=0.01), "p100": pytest.approx(5, rel=0.01)}


def test_sliding_windows_count_an_event_several_times() -> None:
    sliding = attrs.evolve(VIEWS, window=Window(60_000, 20_000), key=())
    with opened(settings_for(sliding)) as pipeline:
        run(pipeline, view("1", 5), view("2", 25))
        assert counts(pipeline, "views") == [(-40, (), 1), (-20, (), 2), (0, (), 2), (20, (), 1)]


def test_a_window_is_live_then_closed_then_final() -> None:
    """It ends at 60 s; with a bound of 5 s it is closed at 65 s, with a lateness of 60 s final at 125 s."""
    with opened(settings_for(VIEWS)) as pipeline:
        run(pipeline, view("1", 10))
        assert states(pipeline, "views") == ["live"]
        run(pipeline, view("2", 64.999))
        assert states(pipeline, "views") == ["live", "live"]
        run(pipeline, view("3", 65))
        assert states(pipeline, "views") == ["closed", "live"]
        run(pipeline, view("4", 20, "jug"))  # late, and counted
        assert counts(pipeline, "views") == [(0, ("jug",), 1), (0, ("mug",), 1), (60, ("mug",), 2)]
        run(pipeline, view("5", 124.999))
        assert states(pipeline, "views") == ["closed", "closed", "live", "live"]
        run(pipeline, view("6", 59.999))  # the last moment to count
        assert counts(pipeline, "views")[:2] == [(0, ("jug",), 1), (0, ("mug",), 2)]
        run(pipeline, view("7", 125))
        assert states(pipeline, "views")[:3] == ["final", "final", "closed"]
        before = pipeline.windows("views")
        run(pipeline, view("8", 30))  # late for its window
        after = pipeline.windows("views")
        assert list(after.items) == list(before.items)
        assert (before.late, after.late) == (0, 1)
        assert after.time_ms == at(125)


def test_an_event_is_judged_by_the_time_before_it_also_within_a_batch() -> None:
    with opened(settings_for(VIEWS)) as pipeline:
        run(pipeline, view("1", 10), view("2", 500), view("3", 11), view("4", 500))
        assert counts(pipeline, "views") == [(0, ("mug",), 1), (480, ("mug",), 2)]
        assert pipeline.windows("views").late == 1


def test_a_window_is_live_until_every_partition_has_passed_it() -> None:
    """The other partition has no event: nobody knows what it will have."""
    with opened(settings_for(VIEWS, partitions=2)) as pipeline:
        run(pipeline, view("1", 10), view("2", 1_000))
        assert states(pipeline, "views") == ["live", "live"]
        assert pipeline.windows("views").time_ms == -1
        others = [view(f"of {number}", 300, user=f"user {number}") for number in range(8)]
        run(pipeline, *others)
        # the slower partition is at 300 s, or at 1,000 s: the first window is final by both
        assert states(pipeline, "views")[0] == "final"


def test_what_is_not_counted_from_the_beginning_is_partial(tmp_path: Path) -> None:
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"))
    other = attrs.evolve(VIEWS, name="other")
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((other,)))) as pipeline:
        run(pipeline, view("1", 30))
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS, other)))) as pipeline:
        assert pipeline.windows("views").items == []
        run(pipeline, view("2", 40), view("3", 60), view("4", 61))
        # counting began at 30 s, in the midst of the first window, which lacks event 1
        assert counts(pipeline, "views") == [(0, ("mug",), 1), (60, ("mug",), 2)]
        assert [item.is_partial for item in pipeline.windows("views").items] == [True, False]
        assert counts(pipeline, "other") == [(0, ("mug",), 2), (60, ("mug",), 2)]
        assert [item.is_partial for item in pipeline.windows("other").items] == [False, False]


@pytest.mark.parametrize("meanwhile", ["no windows", "other windows"])
def test_windows_that_another_worker_did_not_count_are_partial(meanwhile: str, tmp_path: Path) -> None:
    """Those that were final before it began stay as they are, where it is known up to when they were counted."""
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"))
    other = (attrs.evolve(VIEWS, name="other"),) if meanwhile == "other windows" else ()
    counting = attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,)))
    with opened(counting) as pipeline:
        run(pipeline, view("1", 30), view("2", 4_000), view("3", 4_010))
        before = pipeline.windows("views").items
        assert [(item.state.value, item.is_partial) for item in before] == [("final", False), ("live", False)]
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings(other))) as pipeline:
        run(pipeline, view("4", 4_015), view("5", 4_200))
    with opened(counting) as pipeline:
        run(pipeline, view("6", 4_015), view("7", 4_600))
        after = pipeline.windows("views").items
    # windows of 0, 3,960, 3,960 + 60 s and so on; event 4 is missing in the second, event 5 alone in its window
    assert [(item.start_ms - T_MS) // 1_000 for item in after] == [0, 3_960, 4_560]
    assert [item.is_partial for item in after] == [False, True, False]


def test_a_definition_added_to_a_store_without_windows_is_partial_from_there(tmp_path: Path) -> None:
    """Events may be ahead of the partition's time by 5 minutes: which were counted is not known."""
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"))
    with opened(plain) as pipeline:
        run(pipeline, view("1", 30))
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,)))) as pipeline:
        run(pipeline, view("2", 40), view("3", 400))
        assert counts(pipeline, "views") == [(0, ("mug",), 1), (360, ("mug",), 1)]
        assert [item.is_partial for item in pipeline.windows("views").items] == [True, False]
        pipeline.rebuild()
        pipeline.process()
        assert counts(pipeline, "views") == [(0, ("mug",), 2), (360, ("mug",), 1)]
        assert [item.is_partial for item in pipeline.windows("views").items] == [False, False]


def test_what_was_counted_is_there_after_a_restart_and_counting_goes_on(tmp_path: Path) -> None:
    settings = Settings(partitions=1, database=str(tmp_path / "shop.db"), analytics=AnalyticsSettings((VIEWS,)))
    with opened(settings) as pipeline:
        run(pipeline, view("1", 1), view("2", 2, "jug"))
    with opened(settings) as pipeline:
        assert counts(pipeline, "views") == [(0, ("jug",), 1), (0, ("mug",), 1)]
        run(pipeline, view("3", 3))
        assert counts(pipeline, "views") == [(0, ("jug",), 1), (0, ("mug",), 2)]


def test_measures_that_change_places_keep_their_values(tmp_path: Path) -> None:

    settings = Settings(partitions=1, database=str(tmp_path / "shop.db"))
    measures = {"n": Measure("count"), "gross": Measure("sum", "amount")}
    for number, places in enumerate((measures, dict(reversed(measures.items())))):
        sales = WindowedAggregate("sales", MINUTE, places)
        with opened(attrs.evolve(settings, analytics=AnalyticsSettings((sales,)))) as pipeline:
            if number == 0:
                run(pipeline, event("1", "purchase", at_ms=at(1), product="mug", price=12.5))
            # 1 event of 12.50; or nothing yet, where the change of places makes another definition of it
            assert rows(pipeline, "sales") in ([(0, (), {"n": 1, "gross": 12.5})], [] if number else None)


def test_beyond_keys_max_all_other_keys_are_counted_together() -> None:
    names = sorted(("mug", "jug", "pan"), key=lambda name: blake2b(f"3:{name},".encode(), digest_size=8).digest())
    kept, first, second = names  # of the smallest hash; the others in this order
    with opened(settings_for(attrs.evolve(VIEWS, keys_max=1))) as pipeline:
        run(pipeline, view("1", 1, second), view("2", 2, first))
        assert counts(pipeline, "views") == [(0, (first,), 1), (0, None, 1)]
        run(pipeline, view("3", 3, kept), view("4", 4, first), view("5", 5, kept), view("6", 61, second))
        assert counts(pipeline, "views") == [(0, (kept,), 2), (0, None, 3), (60, (second,), 1)]
        items: Any = pipeline.windows("views").as_dict()["items"]
        assert [item["key"] for item in items] == [[kept], None, [second]]


def test_windows_are_read_by_time_key_and_number() -> None:
    with opened(settings_for(VIEWS)) as pipeline:
        run(
            pipeline,
            view("1", 0),
            view("2", 0, "jug"),
            view("3", 0, None),
            *(view(str(number), 60 * number) for number in range(4, 7)),
        )
        mug = [(0, ("mug",), 1), *((60 * number, ("mug",), 1) for number in range(4, 7))]
        assert counts(pipeline, "views") == [(0, (None,), 1), (0, ("jug",), 1), *mug]  # absent first, then by text
        assert counts(pipeline, "views", key=("mug",)) == counts(pipeline, "views", key=["mug"]) == mug
        assert counts(pipeline, "views", key=(None,)) == [(0, (None,), 1)]
        for key in (("pan",), (), ("mug", "DE")):
            assert counts(pipeline, "views", key=key) == []
        since, until = T + timedelta(seconds=240), T + timedelta(seconds=360)
        assert counts(pipeline, "views", since=since) == mug[1:]
        assert counts(pipeline, "views", since=since + timedelta(milliseconds=1)) == mug[2:]
        assert counts(pipeline, "views", until=since, key=("mug",)) == mug[:1]
        assert counts(pipeline, "views", since=since, until=until) == mug[1:3]
        assert counts(pipeline, "views", since=until, until=since) == []
        naive, berlin = since.replace(tzinfo=None), since.astimezone(timezone(timedelta(hours=2)))
        assert counts(pipeline, "views", since=naive) == counts(pipeline, "views", since=berlin) == mug[1:]
        assert counts(pipeline, "views", limit=1) == mug[3:]
        assert counts(pipeline, "views", limit=2) == mug[2:]
        assert counts(pipeline, "views", until=since, limit=1) == [(0, (None,), 1), (0, ("jug",), 1), (0, ("mug",), 1)]
        assert len(counts(pipeline, "views", limit=10**9)) == 6


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_a_limit_is_a_whole_number_from_1(limit: Any, error: type[Exception]) -> None:
    with opened(settings_for(VIEWS)) as pipeline, pytest.raises(error, match="limit"):
        pipeline.windows("views", limit=limit)


def test_a_window_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with opened(settings_for(VIEWS, SALES)) as pipeline, pytest.raises(UnknownWindow) as raised:
        pipeline.windows("view")
    assert str(raised.value) == 'there is no window "view"; there are: sales, views'
    with (
        opened(settings_for()) as pipeline,
        pytest.raises(UnknownWindow, match=r"none is defined: see analytics\.windows"),
    ):
        pipeline.windows("views")


def test_before_the_first_event_there_are_no_windows() -> None:
    with opened(settings_for(VIEWS)) as pipeline:
        found = pipeline.windows("views")
        assert (list(found.items), found.time_ms, found.late) == ([], -1, 0)
        assert found.as_dict() == {"name": "views", "late": 0, "items": []}


def test_a_day_that_began_before_1970_is_read() -> None:

    days = attrs.evolve(VIEWS, window=Window(calendar="day", timezone="Europe/Berlin"))
    with opened(settings_for(days)) as pipeline:
        run(pipeline, event("1", at_ms=0, product="mug"))
        assert [item.start_ms for item in pipeline.windows("views").items] == [-3_600_000]


@pytest.mark.parametrize(
    ("window", "document"),
    [
        (
            WindowedAggregate("hot", MINUTE, {"sum": Measure("sum", "properties.celsius")}),
            view("1", 1, celsius="1e1000000"),
        ),
        (
            attrs.evolve(VIEWS, window=Window(calendar="day", timezone="Europe/Berlin")),
            event("1", product="mug") | {"timestamp": "9999-12-31T23:59:59Z"},
        ),
    ],
    ids=["number", "time"],
)
def test_no_event_stops_the_pipeline(window: WindowedAggregate, document: dict[str, Any]) -> None:
    """Panes are looked up before the fold makes a dead letter of an event that is too far ahead."""
    with opened(settings_for(window)) as pipeline:
        run(pipeline, document)
        run(pipeline, view("2", 2))
        assert pipeline.process()[RecordClass.APPLIED] >= 1
        assert pipeline.windows(window.name).items or window.name == "hot"


def test_a_shortened_log_makes_nothing_late_and_marks_what_it_may_lack() -> None:
    """Events of last month are appended today, and the log no longer has its first records."""
    table = PaneTable([VIEWS])
    table.load({pane_id: {} for pane_id in table.wanted([at(-86_400)])}, 0, -1, 300_000, at(0))
    changes = table.changes()[PaneId(VIEWS.fingerprint, NOTES_MS)]
    notes = Notes.of({id_: chunk for id_, chunk in changes.items() if chunk is not None})
    assert table.time_ms == -1
    assert notes is not None
    assert notes.is_partial(at(-60), at(600))
    assert not notes.is_partial(at(0), at(600))


def test_bounds_are_compared_as_they_are_written() -> None:
    sold = attrs.evolve(VIEWS, where={"event_type": "product_viewed", "price": FieldTest(at_least=0.1, at_most=0.3)})
    with opened(settings_for(sold)) as pipeline:
        run(pipeline, *(view(str(number), 1, price=number / 10) for number in range(5)))
        assert counts(pipeline, "views") == [(0, ("mug",), 3)]


def test_an_absent_field_is_not_the_word_none() -> None:
    none = attrs.evolve(VIEWS, key=(), where={"event_type": "product_viewed", "category": "None"})
    with opened(settings_for(none)) as pipeline:
        run(pipeline, view("1", 1), view("2", 1, category="None"))
        assert counts(pipeline, "views") == [(0, (), 1)]


def test_a_field_of_ours_is_found_among_the_properties_too() -> None:
    named = attrs.evolve(VIEWS, key=("properties.category",), measures={"n": Measure("sum", "properties.price")})
    with opened(settings_for(named)) as pipeline:
        run(pipeline, view("1", 1, category="kitchen", price=2.5))
        assert counts(pipeline, "views") == [(0, ("kitchen",), 2.5)]


def test_a_constant_keeps_its_type() -> None:
    where: dict[str, Condition] = {"sale": True, "rate": FieldTest(at_least=0.1)}
    derive = {"sale": Derived(constant=True), "rate": Derived(constant=0.1)}
    with opened(settings_for(attrs.evolve(VIEWS, where=where, derive=derive))) as pipeline:
        run(pipeline, view("1", 1))
        assert counts(pipeline, "views") == [(0, ("mug",), 1)]


def test_an_event_that_is_late_for_one_sliding_window_counts_in_the_next() -> None:
    """The window of 0 to 40 s is final at 50 s; that of 20 to 60 s is not."""
    sliding = attrs.evolve(VIEWS, window=Window(40_000, 20_000), bound_ms=0, lateness_ms=0)
    with opened(settings_for(sliding)) as pipeline:
        run(pipeline, view("1", 5), view("2", 50), view("late", 25))
        # of T = 0: event 1 in the windows of -20 and 0; event 2 in those of 20 and 40; the late event in that of 20
        assert counts(pipeline, "views") == [(start, ("mug",), n) for start, n in ((-20, 1), (0, 1), (20, 2), (40, 1))]
        assert pipeline.windows("views").late == 0
