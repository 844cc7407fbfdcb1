"""What a log in SQLite keeps, what is never removed from it, and the snapshots that take its place."""

import random
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from harness.support.errors import HarnessError
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Damaged, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.sqlite import database, retention, snapshots
from realtime_pipeline.infrastructure.sqlite.cells import CELL_TABLES
from realtime_pipeline.infrastructure.sqlite.log_reader import SqliteLogReader
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from realtime_pipeline.infrastructure.sqlite.views import VIEW_TABLES
from tests.support.histories import NOW_MS, SetClock, append, differences, embedded, event, opened, state, visits
from tests.support.workers import Crash, CrashAt, let_time_pass, new_worker

DAY_MS = 86_400_000
ONE = Settings(partitions=1)


def keeping(folder: Path, settings: Settings = ONE, **rules: int) -> Pipeline:
    return opened(
        attrs.evolve(embedded("sqlite", folder, settings), log_retention=LogRetentionSettings(**rules)), SetClock()
    )


def copy_row_by_row(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int = 1) -> None:
    """However long a round takes, one piece of a snapshot is copied after it."""
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(retention, "COPYING_SHARE", 10**12)


def bounds(pipeline: Pipeline) -> tuple[int, int]:
    return pipeline.container.log().bounds([0])[0]


def rows(pipeline: Pipeline, sql: str) -> list[tuple[int, ...]]:
    return pipeline.container.database().rows(sql)


def test_everything_is_kept_unless_settings_say_otherwise(tmp_path: Path) -> None:
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        let_time_pass(pipeline, 1_000 * DAY_MS)
        pipeline.process()
        assert bounds(pipeline) == (0, 2)
        assert rows(pipeline, "SELECT count(*) FROM snapshots") == [(0,)]


def test_records_older_than_a_time_are_removed_once_they_are_processed(tmp_path: Path) -> None:
    with keeping(tmp_path, age_ms=DAY_MS) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        let_time_pass(pipeline, DAY_MS - 1)
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()
        assert bounds(pipeline) == (0, 3)  # of a day less a millisecond
        let_time_pass(pipeline, 1)
        pipeline.process()
        assert bounds(pipeline) == (2, 3)
        assert rows(pipeline, "SELECT position FROM records") == [(2,)]


def test_the_oldest_records_are_removed_over_a_size(tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=250) as pipeline:
        for number in range(5):
            append(pipeline, [event(f"{number}", user=f"u{number}", at_ms=NOW_MS - 100, product="mug")])
            let_time_pass(pipeline, 1)
        each = rows(pipeline, "SELECT max(length(value) + length(key)) FROM records")[0][0]
        assert 250 // each == 2
        pipeline.process()
        assert bounds(pipeline) == (3, 5)
        assert rows(pipeline, "SELECT size FROM log_partitions") == [(2 * each,)]
        append(
            pipeline, [event(f"1{number}", user=f"u{number}", at_ms=NOW_MS - 9, product="jug") for number in range(5)]
        )
        pipeline.process()
        assert bounds(pipeline) == (8, 10)
        before = state(pipeline)
        assert pipeline.rebuild() == 0  # the snapshot has all that is gone
        pipeline.process()
        assert state(pipeline) == before


def published(pipeline: Pipeline, counts: dict[int, int]) -> None:
    pipeline.container.publisher().publish(
        [Outgoing(b"k", b"x" * 99, partition=partition) for partition, count in counts.items() for _ in range(count)]
    )


def test_the_oldest_records_of_all_partitions_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "REMOVED_MAX", 40)
    with keeping(tmp_path, Settings(partitions=4), bytes_max=100 * 70) as pipeline:
        published(pipeline, {0: 90})
        let_time_pass(pipeline, 1_000)
        published(pipeline, {1: 10, 2: 10, 3: 10})
        pipeline.process()
        firsts = rows(pipeline, "SELECT first FROM log_partitions ORDER BY partition")
        assert firsts == [(50,), (0,), (0,), (0,)]


def test_as_many_are_removed_at_a_time_where_one_of_many_partitions_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "REMOVED_MAX", 40)
    with keeping(tmp_path, Settings(partitions=8)) as pipeline:
        published(pipeline, dict.fromkeys(range(8), 1) | {0: 200})
        pipeline.process()
    with keeping(tmp_path, Settings(partitions=8), bytes_max=1) as pipeline:
        removed, upkeep = [], pipeline.container.upkeep()
        while upkeep.step(is_paced=False):
            removed.append(rows(pipeline, "SELECT sum(first) FROM log_partitions")[0][0])
        steps = [after - before for before, after in pairwise(removed) if after > before]
        assert steps == [40, 40, 40, 40, 40, 7]


@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_records_of_when_the_clock_was_ahead_do_not_keep_those_behind_them(
    ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "REMOVED_MAX", 60)
    with keeping(tmp_path, age_ms=DAY_MS) as pipeline:
        let_time_pass(pipeline, 3_650 * DAY_MS)
        published(pipeline, {0: ahead})
        let_time_pass(pipeline, -3_650 * DAY_MS)
        published(pipeline, {0: 2})
        let_time_pass(pipeline, 2 * DAY_MS)
        published(pipeline, {0: 1})
        pipeline.process()
        assert bounds(pipeline) == (ahead + 2, ahead + 3)


def test_a_rebuild_amid_a_removal_keeps_what_is_to_be_folded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, between the look at what is due and its removal."""
    remove = retention.SqliteRetention._remove
    with keeping(tmp_path, bytes_max=1) as pipeline, keeping(tmp_path) as other:
        pipeline.publish(visits("ada", "mug", "jug"))

        def late(self: retention.SqliteRetention, ends: Mapping[int, int]) -> None:
            monkeypatch.setattr(retention.SqliteRetention, "_remove", remove)
            assert (ends, other.rebuild()) == ({0: 2}, 2)
            remove(self, ends)

        monkeypatch.setattr(retention.SqliteRetention, "_remove", late)
        pipeline.process()
        assert bounds(pipeline) == (0, 2)
    with keeping(tmp_path) as pipeline:
        assert pipeline.process() == {RecordClass.APPLIED: 2}


def test_what_is_not_processed_is_never_removed(tmp_path: Path) -> None:
    with keeping(tmp_path, age_ms=1, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug", "jug", "pan"))
        let_time_pass(pipeline, DAY_MS)
        upkeep = pipeline.container.upkeep()
        while upkeep.step(is_paced=False):
            pass
        assert bounds(pipeline) == (2, 5)
        assert pipeline.process() == {RecordClass.APPLIED: 5}
        assert bounds(pipeline) == (5, 5)


@pytest.mark.parametrize("table", ["sources", "output_positions"])
def test_what_a_reader_still_needs_is_not_removed(table: str, tmp_path: Path) -> None:
    with keeping(tmp_path, age_ms=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
    with keeping(tmp_path, age_ms=1) as pipeline:
        with pipeline.container.database().transaction() as connection:
            connection.execute(f"UPDATE {table} SET position = 1")  # noqa: S608
        let_time_pass(pipeline, DAY_MS)
        while pipeline.container.upkeep().step(is_paced=False):
            pass
        assert bounds(pipeline) == (1, 2)


def test_positions_are_not_used_again_when_all_records_are_gone(tmp_path: Path) -> None:
    with keeping(tmp_path, age_ms=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        let_time_pass(pipeline, DAY_MS)
        pipeline.process()
        assert (bounds(pipeline), rows(pipeline, "SELECT count(*) FROM records")) == ((2, 2), [(0,)])
        before = pipeline.profile("ada").customer
    with keeping(tmp_path, age_ms=1) as pipeline:
        ends = pipeline.container.publisher().publish([Outgoing(b"ada", b"{}", partition=0)])
        assert ends == {0: 3}
        assert rows(pipeline, "SELECT position FROM records") == [(2,)]
        assert pipeline.process() == {RecordClass.APPLIED: 2, RecordClass.DEAD_LETTER: 1}
        assert pipeline.profile("ada").customer == before


def test_a_store_is_built_again_from_the_snapshot_and_what_the_log_holds(tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.container.settings.override(
            attrs.evolve(pipeline.container.settings(), log_retention=LogRetentionSettings())
        )
        new_worker(pipeline)
        pipeline.publish(visits("bob", "mug", "pan"))
        pipeline.publish([event("r", "review", "bob", NOW_MS - 5, product="mug", rating=4)])
        pipeline.process()
        before = state(pipeline)
        assert bounds(pipeline) == (2, 5)
        assert pipeline.rebuild() == 3
        assert set(state(pipeline)["customers"]) == {"ada"}
        assert pipeline.process() == {RecordClass.APPLIED: 5}
        assert state(pipeline) == before
        with pytest.raises(HarnessError, match="no longer holds what came before position 2 of partition 0"):
            differences(pipeline)


def test_a_snapshot_is_of_one_moment_whatever_is_committed_while_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        worker, number = pipeline.container.process_events(), 0
        while bounds(pipeline)[0] == 0:
            pipeline.publish(visits(f"u{number}", "mug", f"p{number}"))
            worker(0)
            number += 1
            assert number < 100
        assert number > 5
        before = state(pipeline)
        assert pipeline.rebuild() > 0
        pipeline.process()
        assert state(pipeline) == before


@pytest.mark.parametrize("change", ["DELETE FROM snapshots", "UPDATE snapshots SET schema = 4"])
def test_without_a_snapshot_nothing_is_erased(change: str, tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute(change)
        with pytest.raises(UnrecoverableState, match="no longer holds what came before position 2 of partition 0"):
            pipeline.rebuild()
        assert state(pipeline) == before
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()  # takes another snapshot, of all of it
        assert pipeline.rebuild() == 0


def test_a_backup_can_be_built_again_too(tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        (tmp_path / "copied").mkdir()
        pipeline.backup(tmp_path / "copied/shop.db")
    with keeping(tmp_path / "copied") as copy:
        assert copy.rebuild() == 0
        copy.process()
        assert state(copy) == before


def test_a_rebuild_of_the_whole_log_is_not_undone_by_the_next(tmp_path: Path) -> None:
    """The snapshot of the store from before goes with it."""
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        new_worker(pipeline, CrashAt(Stage.LOG_TRIMMING, 1))
        with pytest.raises(Crash):
            pipeline.process()
        before = state(pipeline)
        assert (bounds(pipeline), rows(pipeline, "SELECT is_complete FROM snapshots")) == ((0, 2), [(1,)])
        with pipeline.container.database().transaction() as connection:  # what the rebuild is to mend
            for name, packed in connection.execute("SELECT name, rows FROM snapshot_chunks").fetchall():
                changed = zlib.compress(zlib.decompress(packed).replace(b"mug", b"pan"))
                connection.execute("UPDATE snapshot_chunks SET rows = ? WHERE name = ?", (changed, name))
        new_worker(pipeline)
        assert pipeline.rebuild() == 2
        pipeline.process()
        assert (bounds(pipeline), state(pipeline)) == ((2, 2), before)
        assert pipeline.rebuild() == 0
        pipeline.process()
        assert state(pipeline) == before


@pytest.mark.parametrize("is_shortened", [False, True])
def test_a_snapshot_of_the_store_before_a_rebuild_is_never_completed(
    is_shortened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline, keeping(tmp_path) as other:
        if is_shortened:
            pipeline.publish(visits("ada", "mug"))
            pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        pipeline.container.process_events()(0)
        upkeep = pipeline.container.upkeep()
        while rows(pipeline, "SELECT count(*) FROM snapshots WHERE NOT is_complete") == [(0,)]:
            assert upkeep.step(is_paced=False)
        other.rebuild()
        for _ in range(100):
            upkeep.step(is_paced=False)
        assert rows(pipeline, "SELECT number, is_complete FROM snapshots") == ([(1, 1)] if is_shortened else [])


def count_of_chunks(pipeline: Pipeline) -> int:
    return rows(pipeline, "SELECT count(*) FROM snapshot_chunks")[0][0]


def unpacked(pipeline: Pipeline) -> list[bytes]:
    packed = pipeline.container.database().rows("SELECT rows FROM snapshot_chunks")
    return [zlib.decompress(chunk) for (chunk,) in packed]


def in_snapshots(pipeline: Pipeline) -> bytes:
    return b"".join(unpacked(pipeline))


def test_a_forgetting_is_not_done_while_a_snapshot_has_the_customer(tmp_path: Path) -> None:
    """Rounds take the next snapshot when some time has passed; whoever processes to the end takes it at once."""
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        pipeline.process()
        assert b"ada-the-first" in in_snapshots(pipeline)
        forgetting = pipeline.forget("ada-the-first")
        worker = pipeline.container.process_events()
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        for _ in range(6):
            worker(0)
        receipt = pipeline.receipt(forgetting)
        assert (receipt.is_done, receipt.left["profile"], receipt.left["snapshot_profiles"]) == (False, 0, 1)
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert b"ada-the-first" not in in_snapshots(pipeline)


def test_a_customer_forgotten_while_a_snapshot_is_taken_is_not_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        worker = pipeline.container.process_events()
        for _ in range(3):
            worker(0)
        assert rows(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]
        forgetting = pipeline.forget("ada-the-first")
        worker(0)
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        while rows(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]:
            worker(0)
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.upkeep()._look_at_s = 0  # type: ignore[attr-defined]
        worker(0)
        assert b"ada-the-first" in in_snapshots(pipeline)
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done
        assert b"ada-the-first" not in in_snapshots(pipeline)


def test_a_customer_a_rebuild_brings_back_into_a_snapshot_is_not_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the rebuild and the forgetting, which is folded once more, a snapshot begins."""
    settings = attrs.evolve(ONE, worker=WorkerSettings(round_records_max=1, idle_wait_ms=1))
    with keeping(tmp_path, settings, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug"))
        pipeline.process()
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, settings, bytes_max=10**6) as pipeline:
        pipeline.publish(visits("bob", "mug", "jug"))
        forgetting = pipeline.forget("ada-the-first")
        new_worker(pipeline, CrashAt(Stage.SNAPSHOTTING, 3))
        with pytest.raises(Crash):
            pipeline.process()
        new_worker(pipeline)
        assert pipeline.rebuild() == 3
        pipeline.process()
        assert b"ada-the-first" not in in_snapshots(pipeline)
        assert pipeline.receipt(forgetting).is_done


@pytest.mark.parametrize("is_new", [False, True])
def test_who_is_forgotten_as_a_snapshot_begins_is_taken_to_be_in_it(is_new: bool, tmp_path: Path) -> None:
    """Its row is written before its moment: the digest says the row's number, so the next snapshot is waited for."""
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        forgetting = pipeline.forget("ada")
        begun = "INSERT INTO snapshots VALUES (NULL, 6, 0, '{}', 0)"
        with pipeline.container.database().transaction() as connection:
            connection.execute(begun if is_new else "SELECT 1")
        pipeline.container.upkeep()._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.upkeep()._look_at_s = float("inf")  # type: ignore[attr-defined]
        pipeline.container.process_events()(0)
        assert rows(pipeline, "SELECT number FROM snapshot_forgotten") == [(1 + is_new,)]
        pipeline.process()
        assert rows(pipeline, "SELECT number FROM snapshots") == [(2 + is_new,)]
        assert pipeline.receipt(forgetting).is_done


def test_a_forgetting_is_not_done_before_the_older_snapshot_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "DROPPED_CHUNKS", 1)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada-the-first", "mug", "jug") + visits("bob", "mug"))
        pipeline.process()
        forgetting = pipeline.forget("ada-the-first")
        pipeline.container.process_events()(0)
        held = []
        while pipeline.container.upkeep().step(is_paced=False):
            held.append(b"ada-the-first" in in_snapshots(pipeline))
            assert not (held[-1] and pipeline.receipt(forgetting).is_done)
        assert held[0]
        assert not held[-1]
        assert pipeline.receipt(forgetting).is_done


def test_a_visitor_who_is_forgotten_with_a_customer_is_waited_for(tmp_path: Path) -> None:
    """When the customer was asked to be forgotten, nobody knew yet that the visitor was theirs."""
    with keeping(tmp_path, bytes_max=1) as pipeline:
        append(pipeline, [event("e1", user=None, at_ms=NOW_MS - 50, session="v1", product="mug")])
        append(pipeline, [event("e2", user="ada", at_ms=NOW_MS - 50, product="mug")])
        pipeline.process()
        append(pipeline, [event("s1", "customer_signed_in", "ada", NOW_MS - 40, session="v1")])
        forgetting = pipeline.forget("ada")
        assert forgetting.ids == ("ada",)
        worker, upkeep = pipeline.container.process_events(), pipeline.container.upkeep()
        upkeep._snapshot_at_s = float("inf")  # type: ignore[attr-defined]
        for _ in range(10):
            worker(0)
        assert rows(pipeline, "SELECT count(*) FROM snapshot_forgotten") == [(2,)]
        with pipeline.container.database().transaction() as connection:  # as if a snapshot had begun between the two
            digest = tombstone_key(CustomerId("ada")).hex()
            connection.execute("DELETE FROM snapshot_forgotten WHERE digest = ?", (digest,))
        assert pipeline.receipt(forgetting).left["snapshot_profiles"] == 1
        pipeline.process()
        assert pipeline.receipt(forgetting).is_done


def test_work_is_done_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "REMOVED_MAX", 7)
    copy_row_by_row(monkeypatch, 2_000)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        for number in range(30):
            pipeline.publish(visits(f"u{number}", "mug", "jug"))
        pipeline.process()
        assert bounds(pipeline) == (60, 60)
        pipeline.publish(visits("ada", *(f"p{number}" for number in range(30))))
        pipeline.container.process_events()(0)
        firsts, chunks = [60], [count_of_chunks(pipeline)]
        while pipeline.container.upkeep().step(is_paced=False):
            firsts.append(bounds(pipeline)[0])
            chunks.append(count_of_chunks(pipeline))
        assert firsts[-1] == 90
        assert max(after - before for before, after in pairwise(firsts)) == 7
        assert max(after - before for before, after in pairwise(chunks)) == 1
        assert max(map(len, unpacked(pipeline))) < 4_000


@pytest.mark.parametrize("table", ["customers", "sessions"])
def test_what_is_damaged_is_not_taken_into_a_snapshot(table: str, tmp_path: Path) -> None:
    """So what it was made of stays in the log, and the rebuild that the message names mends it."""
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute(f"UPDATE {table} SET record = substr(record, 1, 5)")  # noqa: S608
    with keeping(tmp_path, bytes_max=1) as pipeline:
        with pytest.raises(Damaged, match=r"is damaged .*rebuild it from the log"):
            pipeline.process()
        assert (bounds(pipeline), rows(pipeline, "SELECT is_complete FROM snapshots")) == ((0, 2), [(0,)])
        assert pipeline.rebuild() == 2
        pipeline.process()
        assert (bounds(pipeline), state(pipeline)) == ((2, 2), before)


def test_one_snapshot_is_kept_and_what_is_left_of_others_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        for number in range(4):
            pipeline.publish(visits(f"u{number}", "mug", "jug"))
            pipeline.container.process_events()(0)
            pipeline.container.upkeep().step(is_paced=False)
            pipeline.container.upkeep().step(is_paced=False)
            new_worker(pipeline)  # one that has died has left its snapshot incomplete
        assert [complete for (complete,) in rows(pipeline, "SELECT is_complete FROM snapshots")] == [1, 0]
        before = state(pipeline)
        assert pipeline.rebuild() == 8
        pipeline.process()
        assert state(pipeline) == before
        kept = rows(pipeline, "SELECT number, is_complete FROM snapshots")
        assert [complete for _, complete in kept] == [1]
        assert rows(pipeline, "SELECT DISTINCT snapshot FROM snapshot_chunks") == [(kept[0][0],)]


def test_a_snapshot_that_another_worker_has_deleted_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline, keeping(tmp_path, bytes_max=1) as other:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.container.process_events()(0)
        for _ in range(3):
            pipeline.container.upkeep().step(is_paced=False)
        other.process()
        while pipeline.container.upkeep().step(is_paced=False):
            pass
        assert rows(other, "SELECT is_complete FROM snapshots") == [(1,)]
        before = state(other)
        other.rebuild()
        other.process()
        assert state(other) == before


def test_a_pipeline_that_is_closed_amid_a_snapshot_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.container.process_events()(0)
        pipeline.close()
        with pytest.raises(Unavailable, match="closed"):
            pipeline.container.upkeep().step()


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_a_worker_that_ends_amid_a_snapshot_lets_the_write_ahead_log_be_reset(
    is_taken_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a snapshot is read, the write-ahead log grows."""
    copy_row_by_row(monkeypatch)
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        worker = pipeline.container.process_events()
        worker(0)
        assert rows(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]
        pipeline.publish(visits("bob", "mug"))
        assert rows(pipeline, "PRAGMA wal_checkpoint(PASSIVE)")[0][1:] != (0, 0)
        if is_taken_over:
            with keeping(tmp_path) as other:
                other.container.process_events()
            with pytest.raises(UnrecoverableState, match="another worker has taken over"):
                worker(0)
        else:
            worker.drain()
        assert rows(pipeline, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]


@pytest.mark.parametrize("pages", range(1, 8, 2))
def test_a_disk_that_is_full_amid_a_snapshot_or_a_removal(pages: int, tmp_path: Path) -> None:
    dice = random.Random(pages)  # noqa: S311 - names that cannot be packed
    with keeping(tmp_path) as pipeline:
        for number in range(40):
            pipeline.publish(visits(f"u{number}", *(f"{dice.getrandbits(200):x}" for _ in range(5))))
        pipeline.process()
        before = state(pipeline)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        connection = pipeline.container.database().connection()
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages}")
        with pytest.raises(Unavailable, match="its disk is full: make room"):
            pipeline.process()
        assert bounds(pipeline) == (0, 200)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.process()
        assert (bounds(pipeline), state(pipeline)) == ((200, 200), before)
        pipeline.rebuild()
        pipeline.process()
        assert state(pipeline) == before


@pytest.mark.parametrize("gone", [range(2, 3), range(3, 5), range(2, 6)])
def test_records_that_somebody_has_deleted_stop_the_worker(gone: range, tmp_path: Path) -> None:
    """Expired or evicted, a record that is not processed would be one that never was."""
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug", "jug", "pan", "pot"))
        with pipeline.container.database().transaction() as connection:
            connection.executemany("DELETE FROM records WHERE position = ?", [(position,) for position in gone])
        with pytest.raises(UnrecoverableState, match="that are not processed yet are gone from the log"):
            pipeline.process()


def test_a_log_that_begins_behind_its_store_stops_the_worker(tmp_path: Path) -> None:
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug", "jug", "pan"))
        with pipeline.container.database().transaction() as connection:
            connection.execute("DELETE FROM records WHERE position < 3")
            connection.execute("UPDATE log_partitions SET first = 3")
        new_worker(pipeline)
        with pytest.raises(UnrecoverableState, match="the store stands at 2 to 2, the log holds 3 to 5"):
            pipeline.process()


def test_a_store_that_fell_behind_a_shortened_log_is_rebuilt_from_the_snapshot(tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute("UPDATE cells SET position = 0")
        new_worker(pipeline)
        with pytest.raises(
            UnrecoverableState, match=r"the log holds 2 to 2; .* bring back the right log, rebuild the store or"
        ):
            pipeline.process()
        assert pipeline.rebuild() == 0
        pipeline.process()
        assert state(pipeline) == before


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_store_is_not_erased_when_records_of_its_log_are_gone(gone: int, tmp_path: Path) -> None:
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug", "pan"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute("DELETE FROM records WHERE position = ?", (gone,))
        with pytest.raises(
            UnrecoverableState, match=r"partition 0: of 3 records from position 0 on the log holds 2; bring .*shop"
        ):
            pipeline.rebuild()
        assert state(pipeline) == before


def test_an_event_is_traced_as_far_as_the_log_goes_back(tmp_path: Path) -> None:
    with keeping(tmp_path, bytes_max=250) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug", "pan", "pot"))
        pipeline.process()
        assert bounds(pipeline) == (3, 4)
        (copy,) = pipeline.trace("ada-pot-3600000").copies
        assert copy.doubt == "the log begins at position 3 of partition 0: what came before is not known"
        assert pipeline.trace("ada-mug-3600000").copies == ()
        with pytest.raises(Unavailable, match="no longer holds position 1 of partition 0: its worker has removed old"):
            list(SqliteLogReader(pipeline.container.database()).read(0, 1, 4))


OF_LOG_AND_OUTPUTS = {"meta", "records", "log_partitions", "output_positions", "dead_letters", "dead_letter_marks"}
OF_SNAPSHOTS = {"snapshots", "snapshot_chunks", "snapshot_forgotten"}


def test_a_snapshot_has_every_table_of_the_store(tmp_path: Path) -> None:
    """A table that is new is the store's, and in CELL_TABLES or VIEW_TABLES, or it is named here."""
    with keeping(tmp_path) as pipeline:
        names = pipeline.container.database().rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in names if not name.startswith("sqlite_")}
    assert tables == {*CELL_TABLES, *VIEW_TABLES} | OF_LOG_AND_OUTPUTS | OF_SNAPSHOTS


TO_SCHEMA_5 = """
ALTER TABLE records DROP COLUMN unused;
DROP TABLE log_partitions;
DROP TABLE snapshots;
DROP TABLE snapshot_chunks;
DROP TABLE snapshot_forgotten;
PRAGMA user_version = 5;
"""


def test_a_file_of_a_release_before_is_gone_on_with(tmp_path: Path) -> None:
    with keeping(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        before = rows(pipeline, "SELECT * FROM log_partitions")
    assert before[0][:3] == (0, 0, 3)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(TO_SCHEMA_5)
    with keeping(tmp_path, bytes_max=1) as pipeline:
        assert rows(pipeline, "SELECT * FROM log_partitions") == before
        pipeline.publish(visits("cyd", "mug"))
        assert pipeline.process() == {RecordClass.APPLIED: 4}
        assert bounds(pipeline) == (4, 4)


def test_pages_are_used_again(tmp_path: Path) -> None:
    """A file whose log is bounded stops growing, though as much as ever is published."""
    sizes = []
    with keeping(tmp_path, bytes_max=20_000) as pipeline:
        for number in range(12):
            looks = [event(f"{number}-{step}", at_ms=NOW_MS - 10**6 + number * 400 + step) for step in range(400)]
            pipeline.publish(looks)
            pipeline.process()
            sizes.append(rows(pipeline, "PRAGMA page_count")[0][0])
    assert sizes[-1] < sizes[3] + 10  # eight times eleven were published since


REFUSED: list[Callable[[], Settings]] = [
    lambda: Settings(log="kafka", store="redis", log_retention=LogRetentionSettings(age_ms=1)),
    lambda: Settings(store="redis", log_retention=LogRetentionSettings(bytes_max=1)),
    lambda: Settings(log="memory", store="memory", log_retention=LogRetentionSettings(bytes_max=1)),
]


@pytest.mark.parametrize("make", REFUSED)
def test_where_no_snapshots_are_taken_no_records_are_removed(make: Callable[[], Settings]) -> None:
    with pytest.raises(ValueError, match="log_retention needs log sqlite and store sqlite"):
        make()


def test_records_are_removed_and_backups_written_while_others_publish_and_read(tmp_path: Path) -> None:
    """Nobody waits for them for long, and each backup is whole: what it holds can be gone on with, and built again."""
    settings = Settings(database=str(tmp_path / "shop.db"), log_retention=LogRetentionSettings(bytes_max=30_000))
    with Pipeline(settings) as pipeline:
        with pipeline.processing():
            for number in range(40):
                looks = [event(f"{number}-{step}", user=f"u{step}", at_ms=NOW_MS + number) for step in range(50)]
                pipeline.publish(looks)
                if number % 20 == 10:
                    pipeline.backup(tmp_path / f"copy-{number}.db")
        assert pipeline.process() == {RecordClass.APPLIED: 2_000}
        bounds = pipeline.container.log().bounds(range(4))
        assert sum(end for _, end in bounds.values()) == 2_000
        assert 300 < sum(end - first for first, end in bounds.values()) < 400
    for number in (10, 30):
        with Pipeline(attrs.evolve(settings, database=str(tmp_path / f"copy-{number}.db"))) as copy:
            assert copy.process() == {RecordClass.APPLIED: 50 * (number + 1)}
            before = state(copy)
            copy.rebuild()
            copy.process()
            assert state(copy) == before
