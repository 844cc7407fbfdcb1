"""Results of final windows: written once they cannot change, kept when the panes are gone, and read in their place."""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from dependency_injector import providers

from realtime_pipeline import Container, Pipeline, Settings
from realtime_pipeline.application.ports.window_results import Emitted
from realtime_pipeline.application.processing import emit_windows, purge_windows
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.application.routing import partition_for
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Result
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.results import WindowResult, WindowState
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog
from realtime_pipeline.infrastructure.memory.window_results import MemoryWindowResults
from tests.support.histories import HOUR_MS, KINDS, Kind, SetClock, differences, embedded, event, opened
from tests.support.windows import COUNT, T_MS, VIEWS, counts, run, settings_for, states, view

HOURS = WindowedAggregate("hours", Window(3_600_000), COUNT, lateness_ms=0)
SLIDING = WindowedAggregate(
    "sliding",
    Window(120_000, 60_000),
    {"customers": Measure("distinct", "customer_id"), "top": Measure("top", "product_id")},
    key=("country",),
    lateness_ms=60_000,
)
SETTLED_S = 31
"""On Redis, panes go when results are so old that no failover loses them."""


def without_ticks(*windows: WindowedAggregate) -> Settings:
    """Settings of a shop whose clock may go on without moving windows."""
    return attrs.evolve(settings_for(), analytics=AnalyticsSettings(windows, shipped=(), idle_ms=7 * 24 * HOUR_MS))


def panes(pipeline: Pipeline, definition: WindowedAggregate = VIEWS) -> set[int]:
    """The starts of the panes that are left, in seconds after T."""
    starts = pipeline.container.window_queries().starts(definition.fingerprint)
    return {(start_ms - T_MS) // 1_000 for of_cell in starts.values() for start_ms in of_cell}


def first(pipeline: Pipeline) -> tuple[Result, bool]:
    """What the first window has, and whether it is partial."""
    item = pipeline.windows("views").items[0]
    return item.values["n"], item.is_partial


def step(pipeline: Pipeline, clock: SetClock, seconds: int) -> None:
    clock.at_ms += seconds * 1_000
    pipeline.process()


@KINDS
def test_panes_go_and_results_stay(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path, without_ticks(VIEWS, SLIDING)), clock) as pipeline:
        run(pipeline, view("1", 1), view("2", 2, "jug"), view("3", 70), view("4", 200, user="bob"), view("5", 340))
        before = [pipeline.windows(name).as_dict() for name in ("views", "sliding")]
        for _ in range(3):
            step(pipeline, clock, SETTLED_S)
        assert panes(pipeline) == {300}
        assert panes(pipeline, SLIDING) == {180, 300}
        assert [pipeline.windows(name).as_dict() for name in ("views", "sliding")] == before
        assert differences(pipeline) == []


@KINDS
def test_windows_with_results_are_read_beside_those_with_panes(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path, without_ticks(VIEWS)), clock) as pipeline:
        run(pipeline, *(view(f"{n}", 60 * n, "mug" if n % 2 else "jug") for n in range(20)))
        for _ in range(3):
            step(pipeline, clock, SETTLED_S)
        assert min(panes(pipeline)) > 900
        every = [(60 * n, ("mug",) if n % 2 else ("jug",), 1) for n in range(20)]
        assert counts(pipeline, "views") == every
        assert counts(pipeline, "views", limit=18) == every[2:]
        assert counts(pipeline, "views", limit=1) == every[19:]
        assert counts(pipeline, "views", key=("mug",), limit=7) == every[1::2][-7:]
        assert [start for start, *_ in counts(pipeline, "views", limit=3)] == [60 * 17, 60 * 18, 60 * 19]


def test_all_that_became_final_while_a_long_list_was_written_is_written_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit_windows, "PANES_AT_ONCE", 4)
    monkeypatch.setattr(purge_windows, "PURGED_AT_ONCE", 3)
    monkeypatch.setattr(purge_windows, "PURGED_AT_MOST", 6)
    settings = attrs.evolve(without_ticks(VIEWS, SLIDING), worker=WorkerSettings(round_records_max=10))
    with opened(settings) as pipeline:
        run(pipeline, *(view(f"{n}", 60 * n) for n in range(60)))
        assert min(panes(pipeline)) == 60 * 57
        assert min(panes(pipeline, SLIDING)) == 60 * 56
        assert counts(pipeline, "views") == [(60 * n, ("mug",), 1) for n in range(60)]


def test_a_late_event_does_not_open_a_window_again(tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded("sqlite", tmp_path, without_ticks(VIEWS)), clock) as pipeline:
        run(pipeline, view("1", 1), view("2", 1_000))
        step(pipeline, clock, 1)
        assert panes(pipeline) == {960}
        run(pipeline, view("3", 2))
        step(pipeline, clock, 1)
        assert counts(pipeline, "views") == [(0, ("mug",), 1), (960, ("mug",), 1)]
        assert pipeline.windows("views").late == 1
        assert panes(pipeline) == {960}


def test_on_redis_panes_stay_while_a_failover_may_lose_results(tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded("redis", tmp_path, without_ticks(VIEWS)), clock) as pipeline:
        run(pipeline, view("1", 1), view("2", 1_000))
        for seconds in (0, 1, 20):
            step(pipeline, clock, seconds)
            assert panes(pipeline) == {0, 960}
        step(pipeline, clock, SETTLED_S)
        step(pipeline, clock, SETTLED_S)
        assert panes(pipeline) == {960}


def test_results_that_a_failover_has_lost_are_written_again(tmp_path: Path) -> None:
    clock = SetClock()
    settings = embedded("redis", tmp_path, without_ticks(VIEWS))
    with opened(settings, clock) as pipeline:
        run(pipeline, view("1", 1), view("2", 1_000))
        before = pipeline.windows("views").as_dict()
        client = pipeline.container.redis_client()
        client.erase(f"{settings.redis.namespace}:{{w*")  # all of the node that has them
        for _ in range(3):
            step(pipeline, clock, SETTLED_S)
        assert panes(pipeline) == {960}
        assert pipeline.windows("views").as_dict() == before


def test_results_expire(tmp_path: Path) -> None:
    clock = SetClock()
    settings = attrs.evolve(settings_for(), analytics=AnalyticsSettings((VIEWS,), shipped=(), results_keep_days=2))
    with opened(embedded("sqlite", tmp_path, settings), clock) as pipeline:
        run(pipeline, view("1", 1), view("2", 1_000))
        clock.at_ms += 24 * HOUR_MS
        run(pipeline, view("3", 2_000))
        assert [start for start, *_ in counts(pipeline, "views")] == [0, 960, 1_980]
        clock.at_ms += 25 * HOUR_MS
        pipeline.process()
        assert [start for start, *_ in counts(pipeline, "views")] == [960, 1_980]


def test_a_rebuild_replaces_partial_results_by_whole_ones(tmp_path: Path) -> None:
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"), analytics=AnalyticsSettings(shipped=()))
    with opened(plain) as pipeline:
        run(pipeline, view("1", 30))
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,), shipped=()))) as pipeline:
        run(pipeline, view("2", 40), view("3", 400), view("4", 800))
        assert first(pipeline) == (1, True)
        assert panes(pipeline) == {780}
        pipeline.rebuild()
        assert first(pipeline) == (1, True)
        pipeline.process()
        assert first(pipeline) == (2, False)


def test_partial_results_do_not_replace_whole_ones(tmp_path: Path) -> None:
    """As after a rebuild from a log whose beginning is gone."""
    plain = Settings(partitions=1, database=str(tmp_path / "shop.db"), analytics=AnalyticsSettings(shipped=()))
    whole = WindowResult(T_MS, T_MS + 60_000, ("mug",), {"n": 7}, WindowState.FINAL, is_partial=False)
    with opened(plain) as pipeline:
        run(pipeline, view("1", 30))
        pipeline.container.window_results().write(VIEWS.fingerprint, [whole], Emitted(), 0)
    with opened(attrs.evolve(plain, analytics=AnalyticsSettings((VIEWS,), shipped=()))) as pipeline:
        run(pipeline, view("2", 40), view("3", 70), view("4", 800))
        assert panes(pipeline) == {780}
        found = [(item.values["n"], item.is_partial) for item in pipeline.windows("views").items]
        assert found == [(7, False), (1, True), (1, False)]


class Shop:
    """Workers of one log and one store in memory, each with partitions and settings of its own."""

    def __init__(self, settings: Settings, clock: SetClock) -> None:
        self.first = Container()
        self._clock = clock
        self._settings = settings
        self._swap(self.first)

    def _swap(self, container: Container) -> None:
        container.clock.override(providers.Object(self._clock))

    @contextmanager
    def worker(self, *partitions: int, windows: tuple[WindowedAggregate, ...] | None = None) -> Iterator[Pipeline]:
        """A worker of these partitions that shares log and store with all others."""
        container, first = Container(), self.first
        self._swap(container)
        settings = self._settings
        if windows is not None:
            settings = attrs.evolve(settings, analytics=AnalyticsSettings(windows, shipped=()))
        if first.settings.last_overriding is None:
            first.settings.override(providers.Object(self._settings))
        for name in ("memory_log", "cells", "views", "outputs", "window_results"):
            getattr(container, name).override(providers.Object(getattr(first, name)()))
        log = MemoryEventLog(first.memory_log(), partitions)
        container.log.override(providers.Object(log))
        with Pipeline(settings, container) as pipeline:
            yield pipeline


def users(partitions: int) -> Mapping[int, str]:
    """A user of each partition."""
    found: dict[int, str] = {}
    for number in range(1_000):
        found.setdefault(partition_for(f"u{number}".encode(), partitions), f"u{number}")
    return found


def test_a_definition_is_added_worker_by_worker() -> None:
    """While some workers have it and others do not, its windows are not final; those that began before are partial."""
    user, clock = users(2), SetClock()
    shop = Shop(attrs.evolve(settings_for(VIEWS), partitions=2), clock)
    with shop.worker(0) as old, shop.worker(1, windows=(VIEWS, SLIDING)) as new:
        old.publish([view(f"{p}-{n}", 60 * n, user=user[p]) for n in range(10) for p in (0, 1)])
        old.process()
        new.process()
        step(new, clock, 1)
        assert states(new, "views")[:2] == ["final", "final"]
        assert set(states(new, "sliding")) == {"live"}
        assert [item.values["customers"] for item in new.windows("sliding").items][:2] == [1, 1]
        assert panes(new, SLIDING) == {60 * n for n in range(10)}
    with shop.worker(0, windows=(VIEWS, SLIDING)) as upgraded, shop.worker(1, windows=(VIEWS, SLIDING)) as new:
        new.publish([view(f"{p}-{n}", 60 * n, user=user[p]) for n in range(10, 30) for p in (0, 1)])
        upgraded.process()
        new.process()
        for _ in range(2):
            step(upgraded, clock, 1)
            step(new, clock, 1)
        found = new.windows("sliding").items
        by_start = {(item.start_ms - T_MS) // 1_000: item for item in found}
        assert {item.is_partial for start, item in by_start.items() if start < 540} == {True}
        whole = [item for start, item in by_start.items() if start >= 900]  # the clock may be ahead by 5 minutes
        assert {(item.is_partial, item.values["customers"]) for item in whole} == {(False, 2)}
        assert by_start[900].state.value == "final"
        assert min(panes(new, SLIDING)) > 1_200


def test_a_window_of_which_one_partition_has_deleted_its_panes_is_read_from_results_alone() -> None:
    user, container = users(2), Container()
    container.clock.override(providers.Object(SetClock()))
    container.window_results.override(providers.Object(PausableResults()))
    with Pipeline(attrs.evolve(settings_for(VIEWS), partitions=2), container) as pipeline:
        run(pipeline, *(view(f"{p}-{n}", 600 * n, user=user[p]) for p in (0, 1) for n in range(2)))
        assert counts(pipeline, "views") == [(0, ("mug",), 2), (600, ("mug",), 2)]
        epoch = container.cells().epoch(0)
        container.cells().purge_panes(0, epoch, VIEWS.fingerprint, [T_MS], T_MS + 125_000)
        assert counts(pipeline, "views") == [(600, ("mug",), 2)]


def test_results_that_a_failover_loses_while_a_long_list_is_written_are_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emit_windows, "PANES_AT_ONCE", 4)
    container, clock, results = Container(), SetClock(), MemoryWindowResults(is_lossless=False)
    container.clock.override(providers.Object(clock))
    container.window_results.override(providers.Object(results))
    with Pipeline(without_ticks(VIEWS), container) as pipeline:
        pipeline.publish([view(f"{n}", 60 * n) for n in range(60)])
        replica = copy.deepcopy(vars(results))
        rounds = container.process_events()
        for _ in range(3):
            rounds(0)
        assert results.emitted([VIEWS.fingerprint]) != {VIEWS.fingerprint: Emitted()}
        vars(results).update(replica)
        for _ in range(4):
            rounds(0)
        for _ in range(4):
            step(pipeline, clock, SETTLED_S)
        assert len(panes(pipeline)) == 3
        assert counts(pipeline, "views") == [(60 * n, ("mug",), 1) for n in range(60)]


class PausableResults(MemoryWindowResults):
    """Results of a worker that does not emit while it is paused."""

    is_paused = True

    def emitted(self, fingerprints: Collection[str]) -> Mapping[str, Emitted]:
        return dict.fromkeys(fingerprints, Emitted(END_OF_TIME)) if self.is_paused else super().emitted(fingerprints)

    def write(
        self,
        fingerprint: str,
        results: Sequence[WindowResult],
        emitted: Emitted,
        now_ms: int,
        before: Emitted | None = None,
    ) -> None:
        if not self.is_paused:
            super().write(fingerprint, results, emitted, now_ms, before)


def test_a_year_at_full_speed_while_nothing_is_emitted() -> None:
    """Panes pile up, and readers get every window; when emission goes on, all is written and deleted."""
    user, hours, container = users(2), 365 * 24, Container()
    results, clock = PausableResults(), SetClock(T_MS + 366 * 24 * HOUR_MS)
    container.clock.override(providers.Object(clock))
    container.window_results.override(providers.Object(results))
    with Pipeline(attrs.evolve(settings_for(HOURS), partitions=2), container) as pipeline:
        pipeline.publish(
            [event(f"{p}-{h}", user=user[p], at_ms=T_MS + h * HOUR_MS) for h in range(hours) for p in (0, 1)]
        )
        pipeline.process()
        assert len(panes(pipeline, HOURS)) == hours
        before = pipeline.windows("hours", limit=10_000)
        assert [item.values["n"] for item in before.items] == [2] * hours
        assert [item.state.value for item in before.items][-3:] == ["final", "final", "live"]
        results.is_paused = False
        step(pipeline, clock, 1)
        assert len(panes(pipeline, HOURS)) == 1
        assert pipeline.windows("hours", limit=10_000) == before
