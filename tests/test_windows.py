"""Windows as a program that imports the pipeline knows them: every value is computed by hand."""

import attrs
import pytest

from realtime_pipeline.composition.settings import QualitySettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.support.histories import SetClock, append, event, opened
from tests.support.windows import MINUTE, SALES, VIEWS, at, counts, rows, run, settings_for, states, view


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


def test_a_measure_of_some_types_of_events() -> None:
    """Also where the type is a computed field of that name."""
    found = WindowedAggregate(
        "found",
        MINUTE,
        {
            "sales": Measure("count", where={"event_type": ("product_purchased", "purchase_cancelled")}),
            "own": Measure("count", where={"event_type": "video_done"}),
            "costly": Measure("count", where={"event_type": "product_viewed", "price": FieldTest(at_least=10)}),
        },
    )
    events = (
        event("1", "purchase", at_ms=at(1), price=12),
        event("2", "refund", at_ms=at(1), price=12),
        event("3", "video_done", at_ms=at(1)),
        event("4", at_ms=at(1), price=12),
        event("5", at_ms=at(1), price=9),
    )
    limits = EventLimits(custom=("video_done",))
    with opened(settings_for(found, events=limits)) as pipeline:
        run(pipeline, *events)
        assert rows(pipeline, "found") == [(0, (), {"sales": 2, "own": 1, "costly": 1})]
    computed = attrs.evolve(found, derive={"event_type": Derived(constant="video_done")})
    with opened(settings_for(computed, events=limits)) as pipeline:
        run(pipeline, *events)
        assert rows(pipeline, "found") == [(0, (), {"sales": 0, "own": 5, "costly": 0})]


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


def test_an_event_that_is_late_for_one_sliding_window_counts_in_the_next() -> None:
    """The window of 0 to 40 s is final at 50 s; that of 20 to 60 s is not."""
    sliding = attrs.evolve(VIEWS, window=Window(40_000, 20_000), bound_ms=0, lateness_ms=0)
    with opened(settings_for(sliding)) as pipeline:
        run(pipeline, view("1", 5), view("2", 50), view("late", 25))
        # of T = 0: event 1 in the windows of -20 and 0; event 2 in those of 20 and 40; the late event in that of 20
        assert counts(pipeline, "views") == [(start, ("mug",), n) for start, n in ((-20, 1), (0, 1), (20, 2), (40, 1))]
        assert pipeline.windows("views").late == 0


def test_a_wrong_date_in_a_file_makes_nothing_late() -> None:
    """Time follows the second-newest of the last hundred imported events, across restarts, too."""
    clock, year_s = SetClock(), 365 * 86_400
    with opened(settings_for(VIEWS), clock) as pipeline:
        for number in range(20):
            seconds = 600 * number - (10 * year_s if number != 7 else 0)
            append(pipeline, [view(f"{number}", seconds)], origin=f"old.jsonl:{number + 1}")
            pipeline.process()
            if number % 5 == 0:
                pipeline.container.process_events.reset()  # another worker goes on
        found = pipeline.windows("views")
        assert (len(found.items), found.late) == (20, 0)
        assert found.time_ms == at(600 * 19 - 10 * year_s)
        append(pipeline, [view("second", 600 * 8)], origin="old.jsonl:21")  # two of them do
        pipeline.process()
        assert pipeline.windows("views").time_ms == at(600 * 7)
