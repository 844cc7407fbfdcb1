"""The worker on every store: classes of records, errors from elsewhere, forgetting."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.processing.process_events import Round
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.histories import (
    KINDS,
    NOW_MS,
    SMALL,
    Kind,
    SetClock,
    append,
    differences,
    embedded,
    event,
    opened,
    state,
)
from tests.support.workers import ELSEWHERE, HISTORY, Crash, CrashAt, new_worker


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
        marks = pipeline.container.product_queries().watermarks()
        partition = max(marks, key=lambda number: marks[number].at_ms)
        assert marks[partition].at_ms == NOW_MS - SMALL.fold.max_out_of_orderness_ms
        clock.at_ms += 3_000
        pipeline.container.publish_events().tick(partition)
        assert pipeline.process()[RecordClass.CONTROL] == 1
        assert (
            pipeline.container.product_queries().watermarks()[partition].at_ms
            == NOW_MS - SMALL.fold.max_out_of_orderness_ms + 3_000
        )
        pipeline.container.publish_events().end_of_time()
        pipeline.process()
        assert {mark.at_ms for mark in pipeline.container.product_queries().watermarks().values()} == {
            253_402_300_799_999
        }


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
        rows, reads = database.rows_until, 0

        def interrupted(is_last: Callable[[Any], bool], sql: str, parameters: Sequence[object]) -> list[Any]:
            nonlocal reads
            reads += " FROM records " in sql
            if reads == 2:
                raise KeyboardInterrupt
            return rows(is_last, sql, parameters)

        with monkeypatch.context() as patched:
            patched.setattr(database, "rows_until", interrupted)
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
            assert pipeline.container.customer_queries().read_customer(CustomerId("ada")) is None
        assert differences(pipeline) == []


def test_a_letter_in_somebody_elses_partition_does_not_keep_a_forgetting_from_being_done(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        for partition in (0, 1):
            append(pipeline, [event("e1", product="mug")], partition=partition)
        pipeline.process()
        forgetting = pipeline.forget("ada")
        pipeline.process()
        receipt = pipeline.receipt(forgetting)
        assert receipt.is_done
        assert Retained(RetainedCode.MISROUTED_DEAD_LETTERS, count=1) in receipt.stays


class WritesBeside(StageObserver):
    """Tries to write from another connection at each stage, and notes whether it could at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.could_write: dict[Stage, bool] = {}

    def reached(self, stage: Stage, records: int) -> None:
        if records:
            with closing(sqlite3.connect(self._file, timeout=0, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    self.could_write.setdefault(stage, True)
                except sqlite3.OperationalError:
                    self.could_write.setdefault(stage, False)


def test_nothing_is_decoded_while_others_wait_to_write(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        stages = WritesBeside(Path(pipeline.container.settings().database))
        new_worker(pipeline, stages)
        pipeline.process()
        reached = list(stages.could_write)
        assert reached[:4] == [Stage.FETCHED, Stage.DECODED, Stage.LOADED, Stage.FOLDED]
        assert [stages.could_write[stage] for stage in reached[:3]] == [True, True, False]
        assert differences(pipeline) == []


def test_a_round_names_the_types_it_ignored(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        strange = [event(f"e{number}", f"type {number % 70:02}") for number in range(140)]
        append(pipeline, [*strange, event("last", product="mug")])
        rounds: list[Round] = []
        pipeline.container.process_events().catch_up(rounds.append)
        (named,) = [one.ignored_types for one in rounds if one.ignored_types]
        assert (len(named), named["other"], sum(named.values())) == (65, 12, 140)
        assert {count for name, count in named.items() if name != "other"} == {2}
