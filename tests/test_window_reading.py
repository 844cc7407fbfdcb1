"""Reading windows: what is partial, after restarts and other workers; keys, limits, fields and conditions."""

from datetime import timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import Settings
from realtime_pipeline.application.errors import UnknownWindow
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, Notes
from realtime_pipeline.domain.analytics.pane_table import PaneTable
from realtime_pipeline.domain.analytics.panes import PaneId
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import Condition, FieldTest
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import event, opened
from tests.support.windows import MINUTE, SALES, T_MS, VIEWS, T, at, counts, rows, run, settings_for, view


def test_what_is_not_counted_from_the_beginning_is_partial(tmp_path: Path) -> None:
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"))
    other = attrs.evolve(VIEWS, name="other")
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((other,), shipped=()))) as pipeline:
        run(pipeline, view("1", 30))
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS, other), shipped=()))) as pipeline:
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
    counting = attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,), shipped=()))
    with opened(counting) as pipeline:
        run(pipeline, view("1", 30), view("2", 4_000), view("3", 4_010))
        before = pipeline.windows("views").items
        assert [(item.state.value, item.is_partial) for item in before] == [("final", False), ("live", False)]
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings(other, shipped=()))) as pipeline:
        run(pipeline, view("4", 4_015), view("5", 4_200))
    with opened(counting) as pipeline:
        run(pipeline, view("6", 4_015), view("7", 4_600))
        after = pipeline.windows("views").items
    # windows of 0, 3,960, 3,960 + 60 s and so on; event 4 is missing in the second, event 5 alone in its window
    assert [(item.start_ms - T_MS) // 1_000 for item in after] == [0, 3_960, 4_560]
    assert [item.is_partial for item in after] == [False, True, False]


def test_a_definition_added_to_a_store_without_windows_is_partial_from_there(tmp_path: Path) -> None:
    """Events may be ahead of the partition's time by 5 minutes: which were counted is not known."""
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"), analytics=AnalyticsSettings(shipped=()))
    with opened(plain) as pipeline:
        run(pipeline, view("1", 30))
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,), shipped=()))) as pipeline:
        run(pipeline, view("2", 40), view("3", 400))
        assert counts(pipeline, "views") == [(0, ("mug",), 1), (360, ("mug",), 1)]
        assert [item.is_partial for item in pipeline.windows("views").items] == [True, False]
        pipeline.rebuild()
        pipeline.process()
        assert counts(pipeline, "views") == [(0, ("mug",), 2), (360, ("mug",), 1)]
        assert [item.is_partial for item in pipeline.windows("views").items] == [False, False]


def test_what_was_counted_is_there_after_a_restart_and_counting_goes_on(tmp_path: Path) -> None:
    settings = Settings(
        partitions=1, database=str(tmp_path / "shop.db"), analytics=AnalyticsSettings((VIEWS,), shipped=())
    )
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
        with opened(attrs.evolve(settings, analytics=AnalyticsSettings((sales,), shipped=()))) as pipeline:
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
        pytest.raises(UnknownWindow, match=r"there are: none: see analytics\.shipped"),
    ):
        pipeline.windows("views")


def test_before_the_first_event_there_are_no_windows() -> None:
    with opened(settings_for(VIEWS)) as pipeline:
        found = pipeline.windows("views")
        assert (list(found.items), found.time_ms, found.late) == ([], -1, 0)
        assert found.as_dict() == {"name": "views", "late": 0, "late_by_ticks": 0, "items": []}


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
    table.load({pane_id: {} for pane_id in table.wanted([])}, 0, -1, 300_000, at(0))
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
