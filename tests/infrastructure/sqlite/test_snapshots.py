"""Snapshots of cells and views: what they hold, when they are complete, and when they are abandoned."""

import random
from pathlib import Path

import pytest

from realtime_pipeline.application.errors import Damaged, Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.sqlite import database
from realtime_pipeline.infrastructure.sqlite.cells import CELL_TABLES
from realtime_pipeline.infrastructure.sqlite.views import VIEW_TABLES
from tests.support.histories import state, visits
from tests.support.retention import bounds, copy_row_by_row, query, retaining
from tests.support.workers import new_worker


def test_a_snapshot_excludes_commits_made_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline:
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


@pytest.mark.parametrize("table", ["customers", "sessions"])
def test_a_damaged_row_is_not_copied_into_a_snapshot(table: str, tmp_path: Path) -> None:
    """So the records stay in the log, and the rebuild that the message names repairs the row."""
    with retaining(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute(f"UPDATE {table} SET record = substr(record, 1, 5)")  # noqa: S608
    with retaining(tmp_path, bytes_max=1) as pipeline:
        with pytest.raises(Damaged, match=r"is damaged .*rebuild it from the log"):
            pipeline.process()
        assert (bounds(pipeline), query(pipeline, "SELECT is_complete FROM snapshots")) == ((0, 2), [(0,)])
        assert pipeline.rebuild() == 2
        pipeline.process()
        assert (bounds(pipeline), state(pipeline)) == ((2, 2), before)


@pytest.mark.parametrize("bytes_max", [0, 1, 10**9])
def test_a_snapshot_of_schema_6_is_valid_after_the_upgrade(bytes_max: int, tmp_path: Path) -> None:
    """Whether or not the log has more to trim, which is when the next snapshot is taken."""
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            later = ("source_claims", "source_positions", "panes", "late_events", "window_results", "window_progress")
            for table in ("sums", "listings", "sales", *later):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("DELETE FROM snapshot_chunks WHERE name IN ('sums', 'listings', 'sales')")
            connection.execute("UPDATE snapshots SET schema = 6")
            connection.execute("PRAGMA user_version = 6")
    with retaining(tmp_path, bytes_max=bytes_max) as pipeline:
        for _ in range(2):
            pipeline.process()
            assert (bounds(pipeline), pipeline.rebuild()) == ((2, 2), 0)
            assert state(pipeline) == before


def test_only_the_newest_complete_snapshot_is_retained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        for number in range(4):
            pipeline.publish(visits(f"u{number}", "mug", "jug"))
            pipeline.container.process_events()(0)
            pipeline.container.upkeep().step(is_paced=False)
            pipeline.container.upkeep().step(is_paced=False)
            new_worker(pipeline)  # the worker before was killed and left its snapshot incomplete
        assert [complete for (complete,) in query(pipeline, "SELECT is_complete FROM snapshots")] == [1, 0]
        before = state(pipeline)
        assert pipeline.rebuild() == 8
        pipeline.process()
        assert state(pipeline) == before
        kept = query(pipeline, "SELECT number, is_complete FROM snapshots")
        assert [complete for _, complete in kept] == [1]
        assert query(pipeline, "SELECT DISTINCT snapshot FROM snapshot_chunks") == [(kept[0][0],)]


def test_a_snapshot_deleted_by_another_worker_is_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline, retaining(tmp_path, bytes_max=1) as other:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.container.process_events()(0)
        for _ in range(3):
            pipeline.container.upkeep().step(is_paced=False)
        other.process()
        while pipeline.container.upkeep().step(is_paced=False):
            pass
        assert query(other, "SELECT is_complete FROM snapshots") == [(1,)]
        before = state(other)
        other.rebuild()
        other.process()
        assert state(other) == before


def test_a_pipeline_closed_during_a_snapshot_raises_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.container.process_events()(0)
        pipeline.close()
        with pytest.raises(Unavailable, match="closed"):
            pipeline.container.upkeep().step()


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_the_wal_can_be_reset_after_a_worker_ends_during_a_snapshot(
    is_taken_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAL grows as long as a snapshot's read transaction is open."""
    copy_row_by_row(monkeypatch)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        worker = pipeline.container.process_events()
        worker(0)
        assert query(pipeline, "SELECT is_complete FROM snapshots") == [(0,)]
        pipeline.publish(visits("bob", "mug"))
        assert query(pipeline, "PRAGMA wal_checkpoint(PASSIVE)")[0][1:] != (0, 0)
        if is_taken_over:
            with retaining(tmp_path) as other:
                other.container.process_events()
            with pytest.raises(UnrecoverableState, match="another worker has taken over"):
                worker(0)
        else:
            worker.drain()
        assert query(pipeline, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]


@pytest.mark.parametrize("pages", range(1, 8, 2))
def test_a_full_disk_during_a_snapshot_or_a_deletion_loses_nothing(pages: int, tmp_path: Path) -> None:
    rng = random.Random(pages)  # noqa: S311 - product ids that cannot be compressed
    with retaining(tmp_path) as pipeline:
        for number in range(40):
            pipeline.publish(visits(f"u{number}", *(f"{rng.getrandbits(200):x}" for _ in range(5))))
        pipeline.process()
        before = state(pipeline)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        connection = pipeline.container.database().connection()
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages}")
        with pytest.raises(Unavailable, match="its disk is full: make room"):
            pipeline.process()
        assert bounds(pipeline) == (0, 200)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.process()
        assert (bounds(pipeline), state(pipeline)) == ((200, 200), before)
        pipeline.rebuild()
        pipeline.process()
        assert state(pipeline) == before


OF_LOG_AND_OUTPUTS = {
    *("meta", "records", "log_partitions", "source_claims", "source_positions"),
    *("output_positions", "dead_letters", "dead_letter_marks", "late_events", "window_results", "window_progress"),
}


OF_SNAPSHOTS = {"snapshots", "snapshot_chunks", "snapshot_forgotten"}


def test_a_snapshot_holds_every_table_of_the_store(tmp_path: Path) -> None:
    """A new table is in CELL_TABLES or VIEW_TABLES if it is the store's; else it is listed here."""
    with retaining(tmp_path) as pipeline:
        names = pipeline.container.database().rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in names if not name.startswith("sqlite_")}
    assert tables == {*CELL_TABLES, *VIEW_TABLES} | OF_LOG_AND_OUTPUTS | OF_SNAPSHOTS
