"""Rebuilding a store from a snapshot and the log; logs that lack records."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from harness.support.errors import HarnessError
from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite import retention
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.support.histories import NOW_MS, differences, event, state, visits
from tests.support.retention import bounds, copy_row_by_row, query, retaining
from tests.support.workers import Crash, CrashAt, new_worker


def test_a_rebuild_during_a_deletion_keeps_the_records_to_fold_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebuild runs in another process, after the expired records are selected and before they are deleted."""
    delete = retention.SqliteRetention._delete
    with retaining(tmp_path, bytes_max=1) as pipeline, retaining(tmp_path) as other:
        pipeline.publish(visits("ada", "mug", "jug"))

        def rebuild_first(self: retention.SqliteRetention, ends: Mapping[int, int]) -> None:
            monkeypatch.setattr(retention.SqliteRetention, "_delete", delete)
            assert (ends, other.rebuild()) == ({0: 2}, 2)
            delete(self, ends)

        monkeypatch.setattr(retention.SqliteRetention, "_delete", rebuild_first)
        pipeline.process()
        assert bounds(pipeline) == (0, 2)
    with retaining(tmp_path) as pipeline:
        assert pipeline.process() == {RecordClass.APPLIED: 2}


def test_a_store_is_rebuilt_from_the_snapshot_and_the_remaining_log(tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=1) as pipeline:
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


@pytest.mark.parametrize("change", ["DELETE FROM snapshots", "UPDATE snapshots SET schema = 4"])
def test_a_rebuild_without_a_usable_snapshot_is_refused(change: str, tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=1) as pipeline:
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


def test_a_backup_can_be_rebuilt(tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        (tmp_path / "copied").mkdir()
        pipeline.backup(tmp_path / "copied/shop.db")
    with retaining(tmp_path / "copied") as copy:
        assert copy.rebuild() == 0
        copy.process()
        assert state(copy) == before


def test_a_rebuild_from_the_whole_log_deletes_the_old_snapshot(tmp_path: Path) -> None:
    """Else the next rebuild would restore the damage that the first one repaired."""
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        new_worker(pipeline, CrashAt(Stage.LOG_TRIMMING, 1))
        with pytest.raises(Crash):
            pipeline.process()
        before = state(pipeline)
        assert (bounds(pipeline), query(pipeline, "SELECT is_complete FROM snapshots")) == ((0, 2), [(1,)])
        with pipeline.container.database().transaction() as connection:  # the damage that the rebuild repairs
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


@pytest.mark.parametrize("is_trimmed", [False, True])
def test_a_rebuild_abandons_a_snapshot_in_progress(
    is_trimmed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_row_by_row(monkeypatch)
    with retaining(tmp_path, bytes_max=1) as pipeline, retaining(tmp_path) as other:
        if is_trimmed:
            pipeline.publish(visits("ada", "mug"))
            pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        pipeline.container.process_events()(0)
        upkeep = pipeline.container.upkeep()
        while query(pipeline, "SELECT count(*) FROM snapshots WHERE NOT is_complete") == [(0,)]:
            assert upkeep.step(is_paced=False)
        other.rebuild()
        for _ in range(100):
            upkeep.step(is_paced=False)
        assert query(pipeline, "SELECT number, is_complete FROM snapshots") == ([(1, 1)] if is_trimmed else [])


@pytest.mark.parametrize("gone", [range(2, 3), range(3, 5), range(2, 6)])
def test_unprocessed_records_deleted_by_another_program_stop_the_worker(gone: range, tmp_path: Path) -> None:
    """Else the events of the deleted records would be lost without a word."""
    with retaining(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug", "jug", "pan", "pot"))
        with pipeline.container.database().transaction() as connection:
            connection.executemany("DELETE FROM records WHERE position = ?", [(position,) for position in gone])
        with pytest.raises(UnrecoverableState, match="that are not processed yet are gone from the log"):
            pipeline.process()


def test_a_log_that_begins_after_the_position_of_the_store_stops_the_worker(tmp_path: Path) -> None:
    with retaining(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug", "jug", "pan"))
        with pipeline.container.database().transaction() as connection:
            connection.execute("DELETE FROM records WHERE position < 3")
            connection.execute("UPDATE log_partitions SET first = 3")
        new_worker(pipeline)
        with pytest.raises(
            UnrecoverableState, match="store is at positions 2 to 2, but the log holds positions 3 to 5"
        ):
            pipeline.process()


def test_a_store_behind_a_trimmed_log_is_rebuilt_from_the_snapshot(tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        before = state(pipeline)
        with pipeline.container.database().transaction() as connection:
            connection.execute("UPDATE cells SET position = 0")
        new_worker(pipeline)
        with pytest.raises(
            UnrecoverableState, match=r"the log holds positions 2 to 2: .* restore the right log, rebuild the store or"
        ):
            pipeline.process()
        assert pipeline.rebuild() == 0
        pipeline.process()
        assert state(pipeline) == before


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_rebuild_is_refused_if_records_of_the_log_are_missing(gone: int, tmp_path: Path) -> None:
    with retaining(tmp_path) as pipeline:
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
