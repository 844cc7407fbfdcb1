"""The worker between a log and stores that are apart: claims, refusals, kept entries, recovery."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import attrs
import msgspec
import pytest
from dependency_injector import providers

from harness.shop import Shop
from realtime_pipeline import Pipeline
from realtime_pipeline.application import process_events
from realtime_pipeline.application.errors import Fenced, Stopped, Unavailable, Unreachable, WrongLog
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.process_events import WorkerRules
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog, MemoryLog
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from tests.histories import KINDS, NOW_MS, SMALL, Kind, SetClock, append, differences, embedded, event, opened, state

HISTORY = [msgspec.json.encode(one) for one in Shop(5, 200, 10, NOW_MS - 10**9, dirt=0.1).events(60)]


ELSEWHERE = {Stage.APPENDED, Stage.ACKNOWLEDGED, Stage.OUTPUTS_SENT, Stage.POSITIONS_SENT, Stage.TRIMMING}
"""Stages of a publisher, and those that only stores across a network have."""


class Crash(Exception):
    """The process dies here; what is in memory is lost with it."""


class CrashAt(Stages):
    """Raises when a stage is reached for the n-th time."""

    def __init__(self, stage: Stage, times: int) -> None:
        self._stage, self._left = stage, times

    def reached(self, stage: Stage, records: int) -> None:
        if stage is self._stage and records:
            self._left -= 1
            if self._left == 0:
                raise Crash(stage)


@pytest.fixture(params=[1, 3])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """In memory, where commit, merge and emission are steps of their own; with one view cell, and with three."""
    settings = attrs.evolve(SMALL, worker=WorkerRules(round_records_max=20, cached_customers_max=4))
    with opened(embedded("memory", tmp_path, settings)) as made:
        made.container.views.override(providers.Object(MemoryViews(request.param, listed_sessions_max=3)))
        yield made


def new_worker(pipeline: Pipeline, stages: Stages | None = None) -> None:
    """As after a restart: nothing is left but the log and the stores."""
    if stages is not None:
        pipeline.container.stages.override(providers.Object(stages))
    else:
        pipeline.container.stages.reset_override()
    pipeline.container.log.reset()
    pipeline.container.process_events.reset()


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
    first = pipeline.container.process_events()
    first(0)
    new_worker(pipeline)
    second = pipeline.container.process_events()
    for _ in range(4):  # each is refused after the other has claimed, claims again, and goes on
        second(0)
        first(0)
    first.catch_up()
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
    let_time_pass(pipeline, SMALL.worker.kept_ms - 1)
    pipeline.process()
    pipeline.container.views.override(providers.Object(MemoryViews(2, listed_sessions_max=3)))
    pipeline.container.readers.reset()
    new_worker(pipeline)
    pipeline.process()
    assert differences(pipeline) == []


class LateOutputs(MemoryOutputs):
    """Outputs that gather for a very long time."""

    gather_ms = 10**9


def test_entries_stay_as_long_as_a_reader_lacks_them(pipeline: Pipeline) -> None:
    outputs = LateOutputs()
    pipeline.container.outputs.override(providers.Object(outputs))
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    for _ in range(60):
        worker(0)
        let_time_pass(pipeline, SMALL.worker.kept_ms)
    stand = pipeline.container.cells().positions([0, 1])
    assert all(outputs.positions([0, 1])[number] < stand[number] for number in (0, 1))
    assert worker(0).trouble == ""
    new_worker(pipeline)  # the first one dies with what it has gathered
    pipeline.process()
    assert differences(pipeline) == []


@pytest.mark.parametrize("port", ["views", "cells", "outputs"])
def test_what_goes_back_under_an_idle_worker_is_noticed(pipeline: Pipeline, port: str) -> None:
    """As when a replica takes over that lacks the newest commits, and no record comes that would tell."""
    store = getattr(pipeline.container, port)()
    append(pipeline, HISTORY[:60])
    pipeline.process()
    lost = deepcopy(vars(store))
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
    pipeline.container.readers.reset()
    new_worker(pipeline)
    for _ in range(3):  # it must stay so, whoever looks
        with pytest.raises(Stopped, match=r"partition 0: its cell is missing, while its views or outputs have .*build"):
            pipeline.process()
        new_worker(pipeline)


def test_a_store_without_an_answer_is_waited_for(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()
    commit, asked = cells.commit, 0

    def silent(commits: Sequence[Commit]) -> Sequence[int]:
        """Silent the first times: once before it has written anything, once after."""
        nonlocal asked
        asked += 1
        written = commit(commits) if asked != 1 else []
        if asked <= 2:
            raise Unreachable("no answer")
        return written

    monkeypatch.setattr(cells, "commit", silent)
    pipeline.process()
    assert asked > 2
    assert differences(pipeline) == []


def test_a_store_that_never_answers_is_given_up_on(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    append(pipeline, HISTORY)

    def silent(_: object) -> None:
        let_time_pass(pipeline, SMALL.worker.unreachable_ms // 2)
        raise Unreachable("no answer from the store")

    monkeypatch.setattr(pipeline.container.cells(), "commit", silent)
    with pytest.raises(Unavailable, match="no answer from the store: no answer for 600 s"):
        pipeline.process()


def test_a_worker_waits_when_too_much_is_kept(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pipeline.container.cells()
    commit = cells.commit
    monkeypatch.setattr(cells, "commit", lambda commits: [len(commit([one])) << 30 for one in commits])
    append(pipeline, HISTORY)
    worker = pipeline.container.process_events()
    assert worker(0).records > 0
    assert worker(0).records == 0
    let_time_pass(pipeline, SMALL.worker.kept_ms)
    assert worker(0).records == 0  # trimmed now, and reading again
    assert worker(0).records > 0


def let_time_pass(pipeline: Pipeline, ms: int) -> None:
    clock = pipeline.container.clock()
    assert isinstance(clock, SetClock)
    clock.at_ms += ms


def test_views_behind_what_is_kept_stop_the_worker_with_the_range(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    let_time_pass(pipeline, SMALL.worker.kept_ms)
    pipeline.process()
    pipeline.container.views.override(providers.Object(MemoryViews(1, listed_sessions_max=3)))
    pipeline.container.readers.reset()
    new_worker(pipeline)
    with pytest.raises(Stopped, match=r"partition 0: the views stand at 0, their cell at \d+.*rebuild"):
        pipeline.process()


def test_a_log_shorter_than_the_store_stops_the_worker(pipeline: Pipeline) -> None:
    append(pipeline, HISTORY)
    pipeline.process()
    for kept in pipeline.container.memory_log().records:
        del kept[3:]
    new_worker(pipeline)
    with pytest.raises(Stopped, match=r"the store stands at \d+ to \d+, the log holds 0 to 3"):
        pipeline.process()


def test_another_log_is_refused(pipeline: Pipeline) -> None:
    pipeline.process()
    pipeline.container.log.override(providers.Object(MemoryEventLog(MemoryLog(2, SetClock()))))
    pipeline.container.process_events.reset()
    with pytest.raises(WrongLog, match="use another store"):
        pipeline.process()


def test_refusals_without_end_stop_the_worker(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_events, "REFUSED_WAIT_S", 0)
    append(pipeline, HISTORY)
    cells = pipeline.container.cells()

    def refuse(_commit: object) -> None:
        raise Fenced("always")

    cells.commit = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(Stopped, match="refused 11 rounds in a row"):
        pipeline.process()


@KINDS
def test_a_record_in_a_partition_it_does_not_belong_to_is_a_dead_letter(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        for partition in (0, 1):
            append(pipeline, [event("e1", product="mug")], partition=partition)
        counts = pipeline.process()
        assert counts == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 1}
        letter = pipeline.container.outputs().dead_letters(10)[0]
        assert letter.reason.startswith("misrouted: its key belongs to partition")
        assert differences(pipeline) == []


@KINDS
def test_ticks_move_time_on_a_quiet_partition(kind: Kind, tmp_path: Path) -> None:
    clock = SetClock()
    with opened(embedded(kind, tmp_path), clock) as pipeline:
        append(pipeline, [event("e1", at_ms=NOW_MS)], partition=None)
        pipeline.process()
        marks = pipeline.container.views().watermarks()
        partition = max(marks, key=lambda number: marks[number].at_ms)
        assert marks[partition].at_ms == NOW_MS - SMALL.fold.disorder_ms
        clock.at_ms += 3_000
        pipeline.container.publish_events().tick(partition)
        assert pipeline.process()[RecordClass.CONTROL] == 1
        assert pipeline.container.views().watermarks()[partition].at_ms == NOW_MS - SMALL.fold.disorder_ms + 3_000
        pipeline.container.publish_events().end_of_time()
        pipeline.process()
        assert {mark.at_ms for mark in pipeline.container.views().watermarks().values()} == {253_402_300_799_999}


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (kind, stage)
        for kind in get_args(Kind)
        for stage in Stage
        if stage not in ELSEWHERE and (kind == "sqlite" or stage is not Stage.COMMITTING)
    ],
)
def test_after_an_error_from_elsewhere_nothing_is_lost_or_counted_twice(
    kind: Kind, stage: Stage, tmp_path: Path
) -> None:
    """Whoever catches the error and calls again finds a worker that starts from what was committed."""
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        new_worker(pipeline, CrashAt(stage, 1))
        with pytest.raises(Crash):
            pipeline.process()
        pipeline.process()
        assert differences(pipeline) == []


def test_all_stores_hold_the_same_after_the_same_history(tmp_path: Path) -> None:
    states = []
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        with opened(embedded(kind, tmp_path)) as pipeline:
            append(pipeline, HISTORY)
            pipeline.process()
            states.append(state(pipeline))
    assert states[0] == states[1] == states[2]


@KINDS
def test_a_claim_that_failed_is_made_again(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        cells = pipeline.container.cells()
        with monkeypatch.context() as broken:
            broken.setattr(cells, "claim", lambda *_: (_ for _ in ()).throw(Crash))
            for _ in range(2):
                with pytest.raises(Crash):
                    pipeline.process()
        assert sum(pipeline.process().values()) == len(HISTORY)
        with monkeypatch.context() as broken:
            broken.setattr(cells, "commit", lambda *_: (_ for _ in ()).throw(Crash))
            broken.setattr(cells, "claim", lambda *_: (_ for _ in ()).throw(Crash))
            append(pipeline, [event("one more", user="zoe", product="mug")])
            for _ in range(2):
                with pytest.raises(Crash):
                    pipeline.process()
        assert sum(pipeline.process().values()) == len(HISTORY) + 1
        assert differences(pipeline) == []


def test_a_poll_that_is_interrupted_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        append(pipeline, HISTORY[:40])
        pipeline.process()
        append(pipeline, HISTORY[40:80])
        database = pipeline.container.database()
        rows, reads = database.rows, 0

        def interrupted(sql: str, *more: Any) -> list[Any]:
            nonlocal reads
            reads += " FROM records " in sql and "LIMIT" in sql
            if reads == 2:
                raise KeyboardInterrupt
            return rows(sql, *more)

        with monkeypatch.context() as patched:
            patched.setattr(database, "rows", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pipeline.process()
        append(pipeline, HISTORY[80:120])
        assert sum(pipeline.process().values()) == 120
        assert differences(pipeline) == []


def test_a_producer_that_knows_fewer_types_than_the_worker_routes_the_same(tmp_path: Path) -> None:
    plays = [event(f"e{number}", "video_play", user=f"u{number}", product="film") for number in range(20)]
    known = attrs.evolve(embedded("sqlite", tmp_path), event_types={"video_play": "view"})
    with opened(embedded("sqlite", tmp_path)) as producer, opened(known) as worker:
        append(producer, plays)
        assert worker.process() == {RecordClass.APPLIED: 20}


@KINDS
def test_dead_letters_go_with_the_customer_whose_they_are(kind: Kind, tmp_path: Path) -> None:
    broken = event("e1", "review", product="mug", rating=9, text="my address is …")
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, [broken, event("e2", at_ms=-5), broken | {"user_id": None, "session_id": "ada"}, b"garbage"])
        pipeline.process()
        pipeline.forget("ada")
        pipeline.process()
        left = pipeline.container.outputs().dead_letters(10)
        assert {letter.customer_id for letter in left} == {"anonymous:ada", None}
        assert differences(pipeline) == []


def test_nothing_of_a_forgotten_customer_is_in_the_file_but_in_the_log(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        for number in range(3):
            append(
                pipeline, [event(f"a{number}", user="ada-lovelace", session=f"ada-lovelace-{number}", product="mug")]
            )
        append(pipeline, [event("r", "review", user="ada-lovelace", product="mug", rating=9)])
        append(pipeline, [event("r2", "review", user="ada-lovelace", product="mug", rating=4, text="by ada-lovelace")])
        pipeline.process()
        pipeline.forget("ada-lovelace")
        pipeline.process()
        database = pipeline.container.database()
        tables = [name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert len(tables) > 10
        for table in set(tables) - {"records"}:
            for row in database.rows(f"SELECT * FROM {table}"):  # noqa: S608 - the file's own tables
                assert "ada-lovelace" not in repr(row), table


@KINDS
def test_who_came_back_with_a_fast_clock_can_be_forgotten_again(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        for number, ahead_ms in enumerate((900, 950)):
            append(pipeline, [event(f"e{number}", at_ms=NOW_MS + ahead_ms)])
            pipeline.process()
            assert pipeline.profile("ada").customer.first_seen_ms == NOW_MS + ahead_ms
            pipeline.forget("ada")
            pipeline.process()
            assert pipeline.container.cells().customer(CustomerId("ada")) is None
        assert differences(pipeline) == []
