"""Ticks: partitions to which nothing comes hold no window open, and an outage of all producers makes nothing late."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from realtime_pipeline import Pipeline, UnrecoverableState
from realtime_pipeline.application.routing import partition_for
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import KINDS, Kind, SetClock, differences, embedded, event, opened
from tests.support.windows import COUNT, MINUTE, T_MS, VIEWS, TickAt, append_tick, at, settings_for

MINUTES = WindowedAggregate("minutes", MINUTE, COUNT, bound_ms=5_000, lateness_ms=60_000)


def user_of(partition: int, partitions: int) -> str:
    return next(f"u{n}" for n in range(10_000) if partition_for(f"u{n}".encode(), partitions) == partition)


def opened_at_t(partitions: int, **more: Any) -> tuple[Pipeline, SetClock]:
    clock = SetClock(T_MS)
    settings = attrs.evolve(settings_for(MINUTES, **more), partitions=partitions)
    return opened(settings, clock), clock


def view_now(pipeline: Pipeline, clock: SetClock, user: str, ago_s: float = 0) -> None:
    at_ms = clock.at_ms - round(ago_s * 1_000)
    pipeline.publish([event(f"{user}-{at_ms}", user=user, at_ms=at_ms, product="mug")])


def wait(pipeline: Pipeline, clock: SetClock, seconds: int, each_s: Callable[[], None] = lambda: None) -> None:
    """Let time pass, second by second, while a worker runs."""
    for _ in range(seconds):
        clock.at_ms += 1_000
        each_s()
        pipeline.process()


def states(pipeline: Pipeline) -> list[tuple[int, int, str]]:
    """The start of each window in seconds, its events, and its state."""
    items = pipeline.windows("minutes").items
    return [((item.start_ms - T_MS) // 1_000, item.values["n"], item.state.value) for item in items]  # type: ignore[misc]


@pytest.mark.parametrize("partitions", [2, 24])
def test_partitions_without_events_hold_no_window_open(partitions: int) -> None:
    """One customer alone, in one of 24 partitions."""
    pipeline, clock = opened_at_t(partitions)
    with pipeline:
        wait(pipeline, clock, 64, lambda: view_now(pipeline, clock, "ada"))
        assert states(pipeline)[0] == (0, 59, "live")
        wait(pipeline, clock, 2, lambda: view_now(pipeline, clock, "ada"))
        assert states(pipeline)[0] == (0, 59, "closed")
        wait(pipeline, clock, 58, lambda: view_now(pipeline, clock, "ada"))
        assert states(pipeline)[0] == (0, 59, "closed")
        wait(pipeline, clock, 2, lambda: view_now(pipeline, clock, "ada"))
        assert states(pipeline)[0] == (0, 59, "final")
        assert differences(pipeline) == []


@KINDS
def test_a_partition_that_falls_quiet_follows_the_others(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock(T_MS)
    settings = attrs.evolve(settings_for(MINUTES), partitions=2)
    with opened(embedded(kind, tmp_path, settings), clock) as pipeline:
        quiet, busy = user_of(0, 2), user_of(1, 2)
        view_now(pipeline, clock, quiet)
        wait(pipeline, clock, 150, lambda: view_now(pipeline, clock, busy))
        found = states(pipeline)
        assert found[0] == (0, 60, "final")
        assert [state for *_, state in found] == ["final", "closed", "live"]
        assert pipeline.windows("minutes").late == 0
        assert differences(pipeline) == []


def test_ticks_are_few() -> None:
    """Some for each window that closes or becomes final, and none between."""
    pipeline, clock = opened_at_t(2)
    with pipeline:
        wait(pipeline, clock, 300, lambda: view_now(pipeline, clock, "ada"))
        ticks = pipeline.process()[RecordClass.CONTROL]
        assert 4 <= ticks <= 2 * 5
        assert [state for *_, state in states(pipeline)][:3] == ["final"] * 3


@pytest.mark.parametrize(("windows", "has_events"), [((MINUTES,), False), ((), True)])
def test_without_events_and_without_windows_there_are_no_ticks(
    windows: tuple[WindowedAggregate, ...], has_events: bool
) -> None:
    clock = SetClock(T_MS)
    with opened(attrs.evolve(settings_for(*windows), partitions=2), clock) as pipeline:
        wait(pipeline, clock, 70, (lambda: view_now(pipeline, clock, "ada")) if has_events else lambda: None)
        assert RecordClass.CONTROL not in pipeline.process()


def silent_for(seconds: int, silence_ms: int) -> Pipeline:
    """A shop whose producers are down, and then send what they have buffered, a view a second."""
    pipeline, clock = opened_at_t(2)
    settings = pipeline.container.settings()
    pipeline.close()
    clock = SetClock(T_MS)
    analytics = AnalyticsSettings((MINUTES,), shipped=(), silence_ms=silence_ms)
    pipeline = opened(attrs.evolve(settings, analytics=analytics), clock)
    wait(pipeline, clock, 10, lambda: view_now(pipeline, clock, "ada"))
    wait(pipeline, clock, seconds)
    for ago_s in reversed(range(seconds)):
        view_now(pipeline, clock, "ada", ago_s)
    pipeline.process()
    assert differences(pipeline) == []
    return pipeline


def test_what_silent_producers_have_buffered_is_not_late() -> None:
    with silent_for(200, silence_ms=30_000) as pipeline:
        found = pipeline.windows("minutes")
        assert (found.late, found.late_by_ticks) == (0, 0)
        assert sum(events for _, events, _ in states(pipeline)) == 10 + 200


def test_without_a_limit_of_silence_it_would_be() -> None:
    """The first minute, of which 10 s had come, is final 65 s after its end: 49 views of it come later."""
    with silent_for(200, silence_ms=3_600_000) as pipeline:
        found = pipeline.windows("minutes")
        assert (found.late, found.late_by_ticks) == (49, 49)


def test_a_silent_shop_still_closes_its_last_windows() -> None:
    pipeline, clock = opened_at_t(2)
    with pipeline:
        wait(pipeline, clock, 10, lambda: view_now(pipeline, clock, "ada"))
        wait(pipeline, clock, 60)
        assert states(pipeline) == [(0, 10, "closed")]
        wait(pipeline, clock, 60)
        assert states(pipeline) == [(0, 10, "final")]


@pytest.mark.parametrize(
    ("tick", "reached_s"),
    [
        (TickAt(0, after_ms=30_000, elapsed_ms=20_000), 21),  # as its writer says
        (TickAt(0, after_ms=30_000, elapsed_ms=90_000), 31),  # but no more than has passed by the log's clock
        (TickAt(0, after_ms=30_000, elapsed_ms=0, floor_ms=at(500)), 500),
        (TickAt(0, after_ms=30_000, elapsed_ms=20_000, floor_ms=at(500), is_next=False), 21),  # others came in between
        (TickAt(0, after_ms=30_000, elapsed_ms=0, floor_ms=at(-500)), 1),
    ],
)
def test_how_far_a_tick_moves_time(tick: TickAt, reached_s: int) -> None:
    clock = SetClock(at(1))
    with opened(settings_for(MINUTES), clock) as pipeline:
        view_now(pipeline, clock, "ada")
        pipeline.process()
        clock.at_ms += tick.after_ms
        append_tick(pipeline, tick)
        pipeline.process()
        assert pipeline.windows("minutes").time_ms == at(reached_s)


def test_an_event_after_ticks_is_late_by_them() -> None:
    clock = SetClock(at(1))
    with opened(settings_for(MINUTES), clock) as pipeline:
        view_now(pipeline, clock, "ada")
        append_tick(pipeline, TickAt(0, 0, 0, floor_ms=at(500)))
        pipeline.publish([event("late", user="bob", at_ms=at(2), product="mug")])
        pipeline.process()
        found = pipeline.windows("minutes")
        assert (found.late, found.late_by_ticks) == (1, 1)
        clock.at_ms = at(700)
        view_now(pipeline, clock, "ada")
        pipeline.publish([event("later", user="bob", at_ms=at(3), product="mug")])
        pipeline.process()
        found = pipeline.windows("minutes")
        assert (found.late, found.late_by_ticks) == (2, 1)  # the second would have been late without ticks, too
        assert differences(pipeline) == []


@pytest.fixture
def shop() -> Iterator[tuple[Pipeline, SetClock]]:
    pipeline, clock = opened_at_t(4)
    with pipeline:
        for user in range(20):
            view_now(pipeline, clock, f"u{user}", ago_s=user)
        yield pipeline, clock


def test_the_end_of_a_replay_makes_every_window_final(shop: tuple[Pipeline, SetClock]) -> None:
    pipeline, _ = shop
    pipeline.close_windows()
    assert states(pipeline) == [(-60, 19, "final"), (0, 1, "final")]
    pipeline.close_windows()
    assert pipeline.process()[RecordClass.CONTROL] == 4  # no second tick
    assert differences(pipeline) == []


def test_time_goes_on_after_the_end_of_a_replay(shop: tuple[Pipeline, SetClock]) -> None:
    pipeline, clock = shop
    pipeline.close_windows()
    clock.at_ms = at(1_000)
    view_now(pipeline, clock, "ada")
    view_now(pipeline, clock, "bob", ago_s=990)
    pipeline.process()
    assert states(pipeline)[-1] == (960, 1, "live")
    assert pipeline.windows("minutes").late == 1


def test_closing_windows_needs_all_partitions(shop: tuple[Pipeline, SetClock]) -> None:
    pipeline, _ = shop
    pipeline.process()
    del pipeline.container.process_events().ownership.cells[3]
    pipeline.container.process_events().ownership.assigned.discard(3)
    with pytest.raises(UnrecoverableState, match="other workers own partitions"):
        pipeline.close_windows()


def test_there_is_nothing_to_close_without_events_or_windows() -> None:
    for windows in ((), (VIEWS,)):
        with opened(settings_for(*windows)) as pipeline:
            pipeline.close_windows()
            assert pipeline.process() == {}
