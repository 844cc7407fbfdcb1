"""Late events as a program that imports the pipeline knows them: which there are, and what they say."""

from pathlib import Path

import attrs
import pytest

from realtime_pipeline import LateEvent, Pipeline, RecordClass, UnknownLateEvent, UnknownWindow
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.composition.settings import AnalyticsSettings, QualitySettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas
from tests.contracts.outputs import late_event
from tests.support.histories import KINDS, SMALL, Kind, differences, embedded, event, opened
from tests.support.windows import COUNT, MINUTE, VIEWS, at, counts, run, settings_for, view

SLIDING = WindowedAggregate("sliding", Window(60_000, 20_000), COUNT, bound_ms=0, lateness_ms=0)
DAYS = WindowedAggregate("days", Window(calendar="day"), COUNT, bound_ms=0, lateness_ms=0)
MINUTES = WindowedAggregate("minutes", MINUTE, COUNT, bound_ms=0, lateness_ms=0)


def settings_of(kind: Kind, folder: Path, *windows: WindowedAggregate) -> Pipeline:
    return opened(
        embedded(kind, folder, attrs.evolve(SMALL, partitions=1, analytics=AnalyticsSettings(windows, shipped=())))
    )


def missed(pipeline: Pipeline) -> dict[str, dict[str, int]]:
    """By the ids of late events, what each has missed."""
    return {late.id: dict(late.missed) for late in pipeline.late_events()}


def test_an_event_that_is_late_for_every_window_is_a_late_event() -> None:
    """The minute of 30 s is final at 125 s, by a bound of 5 s and a lateness of 60 s."""
    with opened(settings_for(VIEWS)) as pipeline:
        run(pipeline, view("1", 10), view("2", 124.999), view("in time", 30), view("3", 125), view("late", 30))
        (late,) = pipeline.late_events()
        assert late == pipeline.late_event("0-4")
        assert (late.id, dict(late.missed), late.customer_id) == ("0-4", {"views": 1}, "ada")
        assert (late.occurred_at_ms, late.time_ms) == (at(30), at(125))
        (record,) = [record for record in pipeline.container.memory_log().records[0] if record.position == 4]
        assert late.record == record
        assert late.as_dict() == {
            "id": "0-4",
            "missed": {"views": 1},
            "occurred_at": "2025-10-09T03:20:30.000Z",
            "partition_time": "2025-10-09T03:22:05.000Z",
            "customer_id": "ada",
            "partition": 0,
            "position": 4,
            "origin": None,
            "appended_at": "2025-10-09T08:53:20.000Z",
            "key": "ada",
            "key_base64": None,
            "value": record.value.decode(),
            "value_base64": None,
        }
        assert pipeline.windows("views").late == 1
        assert pipeline.container.customer_queries().counts()[RecordClass.APPLIED] == 5
        assert differences(pipeline) == []


def test_one_late_event_names_every_definition_that_missed_it() -> None:
    """At 100 s the windows of 60 s that contain 35 s are those from -20, 0 and 20 s: the last ends at 80 s."""
    with opened(settings_for(SLIDING, MINUTES, DAYS)) as pipeline:
        run(pipeline, view("1", 100), view("2", 35))
        assert missed(pipeline) == {"0-1": {"minutes": 1, "sliding": 3}}  # the day goes on
        assert [pipeline.windows(name).late for name in ("sliding", "minutes", "days")] == [1, 1, 0]
        run(pipeline, view("3", -4 * 3_600))  # the day before
        assert missed(pipeline)["0-2"] == {"days": 1, "minutes": 1, "sliding": 3}
        assert differences(pipeline) == []


def test_an_event_that_some_window_counts_is_not_late_for_the_definition() -> None:
    """At 79 s the windows from -20 and 0 s are final; that from 20 s, which ends at 80 s, counts the event."""
    with opened(settings_for(SLIDING, MINUTES)) as pipeline:
        run(pipeline, view("1", 79), view("2", 35))
        assert missed(pipeline) == {"0-1": {"minutes": 1}}
        assert (20, (), 2) in counts(pipeline, "sliding")
        assert differences(pipeline) == []


def test_an_event_that_no_definition_would_count_is_not_late() -> None:
    bots = QualitySettings(Exclusion(ids=("bot",)))
    with opened(settings_for(VIEWS, quality=bots)) as pipeline:
        run(
            pipeline,
            view("1", 1_000),
            view("of a bot", 1, user="bot"),
            event("bought", "purchase", at_ms=at(1), product="mug", price=1),
        )
        assert pipeline.late_events() == []
        assert differences(pipeline) == []


@KINDS
def test_a_duplicate_is_no_second_late_event(kind: Kind, tmp_path: Path) -> None:
    with settings_of(kind, tmp_path, MINUTES) as pipeline:
        for _ in range(2):
            run(pipeline, view("1", 1_000), view("late", 1))
            run(pipeline, view("late", 1))
        assert missed(pipeline) == {"0-1": {"minutes": 1}}
        assert differences(pipeline) == []


@KINDS
def test_the_late_events_of_a_forgotten_customer_go(kind: Kind, tmp_path: Path) -> None:
    with settings_of(kind, tmp_path, MINUTES) as pipeline:
        run(
            pipeline,
            view("1", 1_000),
            view("of ada", 1),
            view("of bob", 2, user="bob"),
            view("of nobody", 3, user=None),
        )
        assert [late.customer_id for late in pipeline.late_events()] == ["ada", "bob", None]
        forgetting = pipeline.forget("ada")
        assert pipeline.receipt(forgetting).left["late_events"] == 1
        run(pipeline, view("of ada again", 4))
        assert [late.customer_id for late in pipeline.late_events()] == ["bob", None]
        receipt = pipeline.receipt(forgetting)
        assert (receipt.left["late_events"], receipt.is_done) == (0, True)
        assert differences(pipeline) == []


@KINDS
def test_a_late_event_and_the_forgetting_of_its_customer_in_one_batch(kind: Kind, tmp_path: Path) -> None:
    with settings_of(kind, tmp_path, MINUTES) as pipeline:
        pipeline.publish([view("1", 1_000, user="bob"), view("late", 1)])
        pipeline.forget("ada")
        pipeline.process()
        assert pipeline.late_events() == []
        assert differences(pipeline) == []


def test_a_late_event_that_waits_to_be_emitted_goes_with_its_customer() -> None:
    """Kafka keeps what it has, so what is not emitted yet is all that can be taken back."""
    cell = OwnedCell(0, 1, 0, 0, Watermark(), [0], 0)
    whole = OutboxEntry(0, 0, 9, Watermark(), Deltas(), (), frozenset())
    bobs = late_event(4, whose=CustomerId("bob"))
    cell.buffer(attrs.evolve(whole, late_events=(late_event(3), bobs)))
    after = attrs.evolve(whole, from_position=9, to_position=20, forgotten=frozenset([CustomerId("ada")]))
    cell.buffer(attrs.evolve(after, late_events=(late_event(12),)))
    assert cell.pending_emission is not None
    assert cell.pending_emission.late_events == (bobs, late_event(12))
    assert (cell.pending_emission.from_position, cell.pending_emission.to_position) == (0, 20)


@KINDS
def test_a_visitors_event_is_late_where_it_lies_and_goes_with_the_customer(kind: Kind, tmp_path: Path) -> None:
    """The copy that is forwarded to the customer is no late event. The record names the visitor."""
    with settings_of(kind, tmp_path, MINUTES) as pipeline:
        run(pipeline, view("1", 1_000, user=None, session="s1"))
        run(pipeline, event("in", "login", "ada", at(1_001), "s1"))
        run(pipeline, view("late", 1, user=None, session="s1"))
        found = [(late.customer_id, dict(late.missed)) for late in pipeline.late_events()]
        assert found == [("anonymous:s1", {"minutes": 1})]
        assert differences(pipeline) == []
        pipeline.forget("ada")
        pipeline.process()
        assert pipeline.late_events() == []
        assert differences(pipeline) == []


@KINDS
def test_another_worker_and_a_rebuild_do_not_emit_late_events_again(kind: Kind, tmp_path: Path) -> None:
    with settings_of(kind, tmp_path, MINUTES) as pipeline:
        run(pipeline, view("1", 1_000), view("late", 1))
        pipeline.container.process_events.reset()
        pipeline.container.log.reset()
        run(pipeline, view("later", 2))
        pipeline.rebuild()
        pipeline.process()
        assert missed(pipeline) == {"0-1": {"minutes": 1}, "0-2": {"minutes": 1}}
        assert differences(pipeline) == []


def test_late_events_are_listed_by_definition() -> None:
    with opened(settings_for(SLIDING, MINUTES)) as pipeline:
        run(pipeline, view("1", 79), view("2", 35), view("3", 1), view("4", 2))

        def ids(limit: int = 20, definition: str | None = None) -> list[str]:
            return [late.id for late in pipeline.late_events(limit, definition)]

        assert (ids(), ids(2)) == (["0-1", "0-2", "0-3"], ["0-1", "0-2"])
        assert (ids(definition="minutes"), ids(definition="sliding")) == (["0-1", "0-2", "0-3"], ["0-2", "0-3"])
        with pytest.raises(UnknownWindow, match='there is no window "hours"; there are: minutes, sliding'):
            ids(definition="hours")
        with pytest.raises(ValueError, match="limit"):
            ids(0)


@pytest.mark.parametrize(
    ("late_event_id", "why"),
    [("0-1", "there is no late event 0-1: "), ("mug", "'mug' is no id of a late event: an id is partition-position")],
)
def test_an_unknown_late_event_is_an_error(late_event_id: str, why: str) -> None:
    with opened(settings_for(MINUTES)) as pipeline, pytest.raises(UnknownLateEvent, match=why):
        pipeline.late_event(late_event_id)


def test_a_definition_that_left_the_settings_still_lists_its_late_events(tmp_path: Path) -> None:
    with settings_of("sqlite", tmp_path, MINUTES) as pipeline:
        run(pipeline, view("1", 1_000), view("late", 1))
        before: list[LateEvent] = list(pipeline.late_events())
    with settings_of("sqlite", tmp_path) as pipeline:
        assert pipeline.late_events(definition="minutes") == before
        with pytest.raises(UnknownWindow, match="none is defined"):
            pipeline.late_events(definition="hours")
