"""Which records the retention of the log in SQLite deletes, when, and in which steps."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.sqlite import retention
from realtime_pipeline.infrastructure.sqlite.log_reader import SqliteLogReader
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.support.histories import NOW_MS, append, event, state, visits
from tests.support.retention import (
    DAY_MS,
    bounds,
    chunk_count,
    chunks_of,
    copy_row_by_row,
    publish_records,
    query,
    retaining,
)
from tests.support.workers import let_time_pass


def test_by_default_no_record_is_deleted_and_no_snapshot_is_taken(tmp_path: Path) -> None:
    with retaining(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        let_time_pass(pipeline, 1_000 * DAY_MS)
        pipeline.process()
        assert bounds(pipeline) == (0, 2)
        assert query(pipeline, "SELECT count(*) FROM snapshots") == [(0,)]


def test_processed_records_older_than_the_age_limit_are_deleted(tmp_path: Path) -> None:
    with retaining(tmp_path, age_ms=DAY_MS) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        let_time_pass(pipeline, DAY_MS - 1)
        pipeline.publish(visits("bob", "mug"))
        pipeline.process()
        assert bounds(pipeline) == (0, 3)  # the oldest are a millisecond younger than a day
        let_time_pass(pipeline, 1)
        pipeline.process()
        assert bounds(pipeline) == (2, 3)
        assert query(pipeline, "SELECT position FROM records") == [(2,)]


def test_the_oldest_records_over_the_size_limit_are_deleted(tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=250) as pipeline:
        for number in range(5):
            append(pipeline, [event(f"{number}", user=f"u{number}", at_ms=NOW_MS - 100, product="mug")])
            let_time_pass(pipeline, 1)
        each = query(pipeline, "SELECT max(length(value) + length(key)) FROM records")[0][0]
        assert 250 // each == 2
        pipeline.process()
        assert bounds(pipeline) == (3, 5)
        assert query(pipeline, "SELECT size FROM log_partitions") == [(2 * each,)]
        append(
            pipeline, [event(f"1{number}", user=f"u{number}", at_ms=NOW_MS - 9, product="jug") for number in range(5)]
        )
        pipeline.process()
        assert bounds(pipeline) == (8, 10)
        before = state(pipeline)
        assert pipeline.rebuild() == 0  # the snapshot covers all deleted records
        pipeline.process()
        assert state(pipeline) == before


def test_the_oldest_records_of_all_partitions_are_deleted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DELETED_RECORDS_MAX", 40)
    with retaining(tmp_path, Settings(partitions=4), bytes_max=100 * 70) as pipeline:
        publish_records(pipeline, {0: 90})
        let_time_pass(pipeline, 1_000)
        publish_records(pipeline, {1: 10, 2: 10, 3: 10})
        pipeline.process()
        firsts = query(pipeline, "SELECT first FROM log_partitions ORDER BY partition")
        assert firsts == [(50,), (0,), (0,), (0,)]


def test_a_busy_partition_among_many_is_deleted_in_full_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DELETED_RECORDS_MAX", 40)
    with retaining(tmp_path, Settings(partitions=8)) as pipeline:
        publish_records(pipeline, dict.fromkeys(range(8), 1) | {0: 200})
        pipeline.process()
    with retaining(tmp_path, Settings(partitions=8), bytes_max=1) as pipeline:
        removed, upkeep = [], pipeline.container.upkeep()
        while upkeep.step(is_paced=False):
            removed.append(query(pipeline, "SELECT sum(first) FROM log_partitions")[0][0])
        steps = [after - before for before, after in pairwise(removed) if after > before]
        assert steps == [40, 40, 40, 40, 40, 7]


@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_records_appended_with_a_fast_clock_do_not_keep_later_ones(
    ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DELETED_RECORDS_MAX", 60)
    with retaining(tmp_path, age_ms=DAY_MS) as pipeline:
        let_time_pass(pipeline, 3_650 * DAY_MS)
        publish_records(pipeline, {0: ahead})
        let_time_pass(pipeline, -3_650 * DAY_MS)
        publish_records(pipeline, {0: 2})
        let_time_pass(pipeline, 2 * DAY_MS)
        publish_records(pipeline, {0: 1})
        pipeline.process()
        assert bounds(pipeline) == (ahead + 2, ahead + 3)


def test_records_that_are_not_processed_are_never_deleted(tmp_path: Path) -> None:
    with retaining(tmp_path, age_ms=1, bytes_max=1) as pipeline:
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
def test_records_that_views_or_outputs_still_need_are_not_deleted(table: str, tmp_path: Path) -> None:
    with retaining(tmp_path, age_ms=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
    with retaining(tmp_path, age_ms=1) as pipeline:
        with pipeline.container.database().transaction() as connection:
            connection.execute(f"UPDATE {table} SET position = 1")  # noqa: S608
        let_time_pass(pipeline, DAY_MS)
        while pipeline.container.upkeep().step(is_paced=False):
            pass
        assert bounds(pipeline) == (1, 2)


def test_positions_are_not_reused_after_all_records_are_deleted(tmp_path: Path) -> None:
    with retaining(tmp_path, age_ms=1) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        let_time_pass(pipeline, DAY_MS)
        pipeline.process()
        assert (bounds(pipeline), query(pipeline, "SELECT count(*) FROM records")) == ((2, 2), [(0,)])
        before = pipeline.profile("ada").customer
    with retaining(tmp_path, age_ms=1) as pipeline:
        ends = pipeline.container.publisher().publish([Outgoing(b"ada", b"{}", partition=0)])
        assert ends == {0: 3}
        assert query(pipeline, "SELECT position FROM records") == [(2,)]
        assert pipeline.process() == {RecordClass.APPLIED: 2, RecordClass.DEAD_LETTER: 1}
        assert pipeline.profile("ada").customer == before


def test_deletions_and_snapshots_proceed_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELETED_RECORDS_MAX", 7)
    copy_row_by_row(monkeypatch, 2_000)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        for number in range(30):
            pipeline.publish(visits(f"u{number}", "mug", "jug"))
        pipeline.process()
        assert bounds(pipeline) == (60, 60)
        pipeline.publish(visits("ada", *(f"p{number}" for number in range(30))))
        pipeline.container.process_events()(0)
        firsts, chunks = [60], [chunk_count(pipeline)]
        while pipeline.container.upkeep().step(is_paced=False):
            firsts.append(bounds(pipeline)[0])
            chunks.append(chunk_count(pipeline))
        assert firsts[-1] == 90
        assert max(after - before for before, after in pairwise(firsts)) == 7
        assert max(after - before for before, after in pairwise(chunks)) == 1
        assert max(map(len, chunks_of(pipeline))) < 4_000


def test_a_trace_ends_where_the_log_begins(tmp_path: Path) -> None:
    with retaining(tmp_path, bytes_max=250) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug", "pan", "pot"))
        pipeline.process()
        assert bounds(pipeline) == (3, 4)
        (copy,) = pipeline.trace("ada-pot-3600000").copies
        assert copy.doubt == "the log begins at position 3 of partition 0: what came before is not known"
        assert pipeline.trace("ada-mug-3600000").copies == ()
        with pytest.raises(
            Unavailable, match="no longer holds position 1 of partition 0: the retention has deleted old"
        ):
            list(SqliteLogReader(pipeline.container.database()).read(0, 1, 4))


TO_SCHEMA_5 = """
ALTER TABLE records DROP COLUMN unused;
DROP TABLE log_partitions;
DROP TABLE snapshots;
DROP TABLE snapshot_chunks;
DROP TABLE snapshot_forgotten;
DROP TABLE sums;
DROP TABLE source_claims;
DROP TABLE source_positions;
DROP TABLE listings;
DROP TABLE sales;
DROP TABLE panes;
DROP TABLE window_results;
DROP TABLE window_progress;
DROP TABLE late_events;
PRAGMA user_version = 5;
"""


def test_a_file_of_the_previous_release_is_migrated_and_processed(tmp_path: Path) -> None:
    with retaining(tmp_path) as pipeline:
        pipeline.publish(visits("ada", "mug", "jug"))
        pipeline.process()
        pipeline.publish(visits("bob", "mug"))
        before = query(pipeline, "SELECT * FROM log_partitions")
    assert before[0][:3] == (0, 0, 3)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(TO_SCHEMA_5)
    with retaining(tmp_path, bytes_max=1) as pipeline:
        assert query(pipeline, "SELECT * FROM log_partitions") == before
        pipeline.publish(visits("cyd", "mug"))
        assert pipeline.process() == {RecordClass.APPLIED: 4}
        assert bounds(pipeline) == (4, 4)


def test_a_file_with_retention_stops_growing(tmp_path: Path) -> None:
    """SQLite reuses the pages of deleted records, so the file stops growing although publishing goes on."""
    sizes = []
    with retaining(tmp_path, bytes_max=20_000) as pipeline:
        for number in range(12):
            looks = [event(f"{number}-{step}", at_ms=NOW_MS - 10**6 + number * 400 + step) for step in range(400)]
            pipeline.publish(looks)
            pipeline.process()
            sizes.append(query(pipeline, "PRAGMA page_count")[0][0])
    assert sizes[-1] < sizes[3] + 10  # the same number of records was published eight times since


REFUSED: list[Callable[[], Settings]] = [
    lambda: Settings(log="kafka", store="redis", log_retention=LogRetentionSettings(age_ms=1)),
    lambda: Settings(store="redis", log_retention=LogRetentionSettings(bytes_max=1)),
    lambda: Settings(log="memory", store="memory", log_retention=LogRetentionSettings(bytes_max=1)),
]


@pytest.mark.parametrize("make", REFUSED)
def test_log_retention_is_refused_unless_log_and_store_are_sqlite(make: Callable[[], Settings]) -> None:
    with pytest.raises(ValueError, match="log_retention needs log sqlite and store sqlite"):
        make()


def test_retention_and_backups_run_while_others_publish_and_read(tmp_path: Path) -> None:
    """Each backup is complete: it can be processed further, and its store can be rebuilt."""
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
