"""The worker between a log and stores that are apart: claims, refusals, kept entries, recovery."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unreachable, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.ports.snapshots import NoSnapshots
from realtime_pipeline.application.processing import backoff
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.support.histories import SMALL, append, differences, embedded, event, opened, state
from tests.support.workers import HISTORY, Crash, CrashAt, GatheredViews, let_time_pass, new_worker


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("stage", [Stage.FETCHED, Stage.FOLDED, Stage.COMMITTED, Stage.MERGED, Stage.EMITTED])
def test_a_crash_between_commit_merge_and_emission_is_healed(pipeline: Pipeline, stage: Stage, times: int) -> None:
    append(pipeline, HISTORY)
    new_worker(pipeline, CrashAt(stage, times))
    with pytest.raises(Crash):
        pipeline.process()
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


def test_a_crash_in_every_round_is_healed(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    crashes = 0
    for _ in range(200):
        new_worker(pipeline, CrashAt(Stage.COMMITTED, 1))
        try:
            pipeline.process()
            break
        except Crash:
            crashes += 1
    assert crashes >= 5
    assert differences(pipeline) == []


def test_a_worker_whose_commit_was_refused_claims_again_and_goes_on(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    cells, views, outputs = pipeline.container.cells(), pipeline.container.views(), pipeline.container.outputs()
    for port in (cells, views, outputs):  # somebody claimed every cell meanwhile, and went away
        for partition in (0, 1):
            port.claim(partition, cells.epoch(partition) + 5)
    append(pipeline, HISTORY[60:])
    pipeline.process()
    assert differences(pipeline) == []


def test_two_workers_that_believe_they_own_a_partition_count_nothing_twice(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    first, first_worker = pipeline.container.process_events(), pipeline.container.worker()
    first(0)
    new_worker(pipeline)
    second = pipeline.container.process_events()
    for _ in range(4):  # each is refused after the other has claimed, claims again, and goes on
        second(0)
        first(0)
    first_worker.catch_up()
    assert differences(pipeline) == []


@pytest.mark.parametrize("lost_records", [1, 33, 37, 43])
def test_views_that_are_ahead_of_a_store_which_lost_commits_are_not_told_twice(
    pipeline: Pipeline, lost_records: int
) -> None:
    """A replica without the newest commits takes over: the views and outputs know more than the cells."""
    cells = pipeline.container.cells()
    append(pipeline, HISTORY[:50])
    pipeline.process()
    lost = deepcopy(vars(cells))
    append(pipeline, HISTORY[50 : 50 + lost_records])
    pipeline.process()
    vars(cells).update(lost)
    append(pipeline, HISTORY[50 + lost_records :])
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


def test_views_that_lost_what_they_had_are_served_from_what_is_kept(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    let_time_pass(pipeline, SMALL.worker.outbox_retention_ms - 1)
    pipeline.process()
    pipeline.container.views.override(
        providers.Object(MemoryViews(2, listed_sessions_max=3, activity_retention_hours=100))
    )
    pipeline.container.relay.reset()
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


class LateOutputs(MemoryOutputs):
    """Outputs that gather for a very long time."""

    linger_ms = 10**9


def test_entries_stay_as_long_as_a_reader_lacks_them(pipeline: Pipeline) -> None:
    outputs = LateOutputs(pipeline.container.publisher())
    pipeline.container.outputs.override(providers.Object(outputs))
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    for _ in range(60):
        worker(0)
        let_time_pass(pipeline, SMALL.worker.outbox_retention_ms)
    stand = pipeline.container.cells().positions([0, 1])
    assert all(outputs.positions([0, 1])[number] < stand[number] for number in (0, 1))
    assert worker(0).problem == ""
    new_worker(pipeline)  # the first one dies with what it has gathered
    pipeline.process()
    assert differences(pipeline) == []


def test_what_customers_share_is_gathered_for_a_while_and_no_longer(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path, SMALL)) as pipeline:
        views = GatheredViews(1, listed_sessions_max=3, activity_retention_hours=100)
        pipeline.container.views.override(providers.Object(views))
        worker = pipeline.container.process_events()
        for number in range(5):
            append(pipeline, HISTORY[number * 4 : number * 4 + 4])
            worker(0)
        merged = sum(min(position) for position in views.positions([0, 1]).values())
        assert merged < 20 == sum(pipeline.container.cells().positions([0, 1]).values())
        let_time_pass(pipeline, views.linger_ms)
        worker(0)
        assert views.positions([0, 1]) == {
            number: (position,) for number, position in pipeline.container.cells().positions([0, 1]).items()
        }
        append(pipeline, HISTORY[20:])
        worker(0)
        worker.drain()
        assert differences(pipeline) == []


def once_silent(monkeypatch: pytest.MonkeyPatch, port: object, name: str) -> list[object]:
    """Have a port not answer the first time it is asked something; return what it was asked."""
    asked: list[object] = []
    answering = getattr(port, name)

    def ask(*what: object) -> object:
        asked.append(what)
        if len(asked) == 1:
            raise Unreachable("no answer")
        return answering(*what)

    monkeypatch.setattr(port, name, ask)
    return asked


@pytest.mark.parametrize(("port", "name"), [("views", "merge"), ("outputs", "emit"), ("log", "verify_identity")])
def test_who_has_caught_up_owes_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, port: str, name: str
) -> None:
    """Also where somebody did not answer when it was done, and what was owed leads to more in the log."""
    monkeypatch.setattr(backoff, "RETRY_WAIT_S", 0.0)
    pipeline.container.outputs.override(providers.Object(LateOutputs(pipeline.container.publisher())))
    append(pipeline, [event("1", user=None, session="s1", product="mug")])
    pipeline.process()
    append(pipeline, [event("2", "login", user="ada", session="s1"), event("3", product="mug")])
    asked = once_silent(monkeypatch, getattr(pipeline.container, port)(), name)
    pipeline.process()
    assert len(asked) > 1
    assert differences(pipeline) == []


def test_what_was_owed_before_catching_up_began_is_caught_up_with(pipeline: Pipeline) -> None:
    pipeline.container.outputs.override(providers.Object(LateOutputs(pipeline.container.publisher())))
    worker = pipeline.container.process_events()
    worker(0)
    append(pipeline, [event("1", user=None, session="s1", product="mug"), event("2", "login", session="s1")])
    worker(0)
    pipeline.process()
    assert pipeline.container.customer_queries().counts() == {RecordClass.APPLIED: 3}
    assert differences(pipeline) == []


def test_a_worker_that_ends_emits_what_it_can(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, views = (
        LateOutputs(pipeline.container.publisher()),
        GatheredViews(3, listed_sessions_max=3, activity_retention_hours=9),
    )
    pipeline.container.outputs.override(providers.Object(outputs))
    pipeline.container.views.override(providers.Object(views))
    worker = pipeline.container.process_events()
    for number in range(2):
        append(pipeline, [event(f"{number}", product="mug"), b"garbage"])
        worker(0)
    once_silent(monkeypatch, views, "merge")
    worker.drain()
    assert outputs.positions([0, 1]) == pipeline.container.cells().positions([0, 1])


def test_nothing_is_made_of_records_of_another_log(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY[:60])
    pipeline.process()
    before = state(pipeline)
    append(pipeline, HISTORY[60:])

    def vouch() -> None:
        raise WrongLog("another")

    monkeypatch.setattr(pipeline.container.log(), "verify_identity", vouch)
    worker = pipeline.container.process_events()
    for _ in range(2):
        with pytest.raises(WrongLog):
            worker(0)
    worker.drain()
    assert state(pipeline) == before


def test_records_that_come_again_are_not_folded_again(pipeline: Pipeline) -> None:
    """As a client of Kafka may hand over, after a rebalance, what the cell has long had."""
    append(pipeline, HISTORY)
    pipeline.process()
    before = state(pipeline)
    log, worker = pipeline.container.log(), pipeline.container.process_events()
    log.seek(dict.fromkeys(log.bounds(range(2)), 3))
    for _ in range(len(HISTORY) // 20 + 1):
        worker(0)
    assert state(pipeline) == before


@pytest.mark.parametrize("port", ["views", "cells", "outputs"])
def test_what_goes_back_under_an_idle_worker_is_noticed(pipeline: Pipeline, port: str) -> None:
    """As when a replica takes over that lacks the newest commits, and no record comes that would tell."""
    store = getattr(pipeline.container, port)()
    append(pipeline, HISTORY[:60])
    pipeline.process()
    lost = deepcopy({name: value for name, value in vars(store).items() if name != "_publisher"})
    append(pipeline, HISTORY[60:])
    pipeline.process()
    vars(store).update(lost)
    let_time_pass(pipeline, 1_000)
    worker = pipeline.container.process_events()
    for _ in range(60):
        worker(0)
    assert differences(pipeline) == []


def test_a_cell_that_is_missing_while_others_know_of_it_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    pipeline.container.cells.reset()
    pipeline.container.relay.reset()
    new_worker(pipeline)
    for _ in range(3):  # it must stay so, whoever looks
        with pytest.raises(
            UnrecoverableState, match=r"partition 0: its cell is missing, while its views or outputs have .*build"
        ):
            pipeline.process()
        new_worker(pipeline)


def test_workers_that_run_now_and_then_let_go_of_what_is_old(pipeline: Pipeline) -> None:
    cells = pipeline.container.cells()
    for begin in range(0, 50, 10):
        append(pipeline, HISTORY[begin : begin + 10])
        new_worker(pipeline)
        pipeline.process()
        let_time_pass(pipeline, SMALL.worker.outbox_retention_ms // 2)
    kept = [entry for partition in (0, 1) for entry in cells.outbox(partition, 0)]
    clock = pipeline.container.clock().now_ms()
    assert kept
    assert {entry.at_ms for entry in kept} == {
        clock - SMALL.worker.outbox_retention_ms,
        clock - SMALL.worker.outbox_retention_ms // 2,
    }
    assert differences(pipeline) == []


def test_what_another_owner_has_let_go_of_is_no_gap(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is stopped while it serves readers; another takes over, does so, and lets go; then the first goes on."""
    append(pipeline, HISTORY)
    pipeline.process()
    pipeline.container.views.override(
        providers.Object(MemoryViews(2, listed_sessions_max=3, activity_retention_hours=100))
    )
    pipeline.container.relay.reset()
    container, cells = pipeline.container, pipeline.container.cells()
    kept, taken_over = cells.outbox, list[int]()

    def stopped_after_the_first(partition: int, after: int) -> Iterator[OutboxEntry]:
        while entries := list(kept(partition, after)):
            yield entries[0]
            after = entries[0].to_position
            if not taken_over:
                taken_over.append(partition)
                other = ClaimCells(container.log(), container.relay(), NoSnapshots(), container.clock(), 10**9)
                held = other([partition])
                other.catch_up(held)
                container.relay().verify_and_trim(list(held.values()), container.clock().now_ms(), 0)

    monkeypatch.setattr(cells, "outbox", stopped_after_the_first)
    new_worker(pipeline)
    container.process_events()(0)  # refused, and claimed again in the next round
    assert taken_over
    pipeline.process()
    assert differences(pipeline) == []
