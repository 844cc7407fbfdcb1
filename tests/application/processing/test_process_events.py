"""ProcessEvents on every store: rounds after unexpected errors, ignored types, and forgetting."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from dependency_injector import providers

from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import WrongLog
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.processing.process_events import Round
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog, MemoryLog
from tests.support.histories import (
    KINDS,
    NOW_MS,
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


def test_another_log_than_the_stores_stops_the_worker(pipeline: Pipeline) -> None:
    pipeline.process()
    pipeline.container.log.override(providers.Object(MemoryEventLog(MemoryLog(2, SetClock()))))
    pipeline.container.process_events.reset()
    with pytest.raises(WrongLog, match="use another store"):
        pipeline.process()


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (kind, stage)
        for kind in get_args(Kind)
        for stage in Stage
        if stage not in ELSEWHERE and (kind == "sqlite" or stage is not Stage.COMMITTING)
    ],
)
def test_a_round_after_an_unexpected_error_loses_and_doubles_nothing(kind: Kind, stage: Stage, tmp_path: Path) -> None:
    """A caller that catches the error may call again: the next round starts from what was committed."""
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        new_worker(pipeline, CrashAt(stage, 1))
        with pytest.raises(Crash):
            pipeline.process()
        pipeline.process()
        assert differences(pipeline) == []


def test_all_stores_have_the_same_state_after_the_same_events(tmp_path: Path) -> None:
    states = []
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        with opened(embedded(kind, tmp_path)) as pipeline:
            append(pipeline, HISTORY)
            pipeline.process()
            states.append(state(pipeline))
    assert states[0] == states[1] == states[2]


def test_an_interrupted_poll_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        append(pipeline, HISTORY[:40])
        pipeline.process()
        append(pipeline, HISTORY[40:80])
        database = pipeline.container.database()
        read_rows, reads = database.rows_until, 0

        def interrupt_the_second_read(
            is_last: Callable[[Any], bool], sql: str, parameters: Sequence[object]
        ) -> list[Any]:
            nonlocal reads
            reads += " FROM records " in sql
            if reads == 2:
                raise KeyboardInterrupt
            return read_rows(is_last, sql, parameters)

        with monkeypatch.context() as patched:
            patched.setattr(database, "rows_until", interrupt_the_second_read)
            with pytest.raises(KeyboardInterrupt):
                pipeline.process()
        append(pipeline, HISTORY[80:120])
        assert sum(pipeline.process().values()) == 120
        assert differences(pipeline) == []


@KINDS
def test_dead_letters_are_retracted_with_their_customer(kind: Kind, tmp_path: Path) -> None:
    invalid = event("e1", "review", product="mug", rating=9, text="my address is …")
    with opened(embedded(kind, tmp_path)) as pipeline:
        append(pipeline, [invalid, event("e2", at_ms=-5), invalid | {"user_id": None, "session_id": "ada"}, b"garbage"])
        pipeline.process()
        pipeline.forget("ada")
        pipeline.process()
        letters = pipeline.container.outputs().dead_letters(10)
        assert {letter.customer_id for letter in letters} == {"anonymous:ada", None}
        assert differences(pipeline) == []


def test_a_forgotten_customer_leaves_traces_in_the_log_only(tmp_path: Path) -> None:
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
def test_a_customer_who_returns_with_a_fast_clock_can_be_forgotten_again(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        for number, ahead_ms in enumerate((900, 950)):
            append(pipeline, [event(f"e{number}", at_ms=NOW_MS + ahead_ms)])
            pipeline.process()
            assert pipeline.profile("ada").customer.visits.first_seen_ms == NOW_MS + ahead_ms
            pipeline.forget("ada")
            pipeline.process()
            assert pipeline.container.customer_queries().read_customer(CustomerId("ada")) is None
        assert differences(pipeline) == []


def test_a_misrouted_dead_letter_does_not_delay_a_receipt(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        for partition in (0, 1):
            append(pipeline, [event("e1", product="mug")], partition=partition)
        pipeline.process()
        forgetting = pipeline.forget("ada")
        pipeline.process()
        receipt = pipeline.receipt(forgetting)
        assert receipt.is_done
        assert Retained(RetainedCode.MISROUTED_DEAD_LETTERS, count=1) in receipt.stays


class WriteAttempts(StageObserver):
    """Tries to write from another connection at each stage; `could_write` says whether that succeeded at once."""

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


def test_decoding_holds_no_write_lock(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        append(pipeline, HISTORY)
        attempts = WriteAttempts(Path(pipeline.container.settings().database))
        new_worker(pipeline, attempts)
        pipeline.process()
        reached = list(attempts.could_write)
        assert reached[:4] == [Stage.FETCHED, Stage.DECODED, Stage.LOADED, Stage.FOLDED]
        assert [attempts.could_write[stage] for stage in reached[:3]] == [True, True, False]
        assert differences(pipeline) == []


def test_a_round_counts_ignored_types_by_name(tmp_path: Path) -> None:
    with opened(embedded("memory", tmp_path)) as pipeline:
        ignored = [event(f"e{number}", f"type {number % 70:02}") for number in range(140)]
        append(pipeline, [*ignored, event("last", product="mug")])
        rounds: list[Round] = []
        pipeline.container.worker().catch_up(rounds.append)
        (counts,) = [round_.ignored_types for round_ in rounds if round_.ignored_types]
        assert (len(counts), counts["other"], sum(counts.values())) == (65, 12, 140)
        assert {count for name, count in counts.items() if name != "other"} == {2}
