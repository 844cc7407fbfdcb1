"""Retention of the log in SQLite: deleting expired records, once a snapshot covers them."""

import heapq
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from realtime_pipeline.infrastructure.sqlite.snapshots import SqliteSnapshots

DELETED_RECORDS_MAX = 4_000
"""How many records one transaction deletes, over all partitions: some 10 ms."""

CHECK_INTERVAL_S = 1.0
COPY_TIME_DIVISOR = 10
"""A snapshot in progress gets this part of the time (a tenth), if one chunk a round is less than that."""

SNAPSHOT_PAUSE_FACTOR = 20
"""A paced snapshot begins when this many times the duration of the last one has passed."""

_BYTES = "length(value) + ifnull(length(key), 0)"


class _ExpiryCandidate(NamedTuple):
    """A record of the log; `appended_at_ms` is at most that of the records behind it."""

    partition: int
    position: int
    appended_at_ms: int
    size: int


class SqliteRetention(Upkeep):
    """Deletes expired records once cells, views and outputs have processed them and a snapshot covers them.

    So a store can always be rebuilt from the newest snapshot and the records that the log still holds. A new snapshot
    is taken when records have expired that the last one does not cover, and when it may hold a forgotten customer.
    There is no vacuum: the file does not shrink, but SQLite reuses its free pages.
    """

    def __init__(
        self,
        database: Database,
        snapshots: SqliteSnapshots,
        settings: LogRetentionSettings,
        clock: Clock,
        observer: StageObserver,
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._check_at_s = self._snapshot_at_s = self._began_s = self._copied_s = 0.0

    def step(self, is_paced: bool = True) -> bool:
        """Copy a chunk of the snapshot in progress; or, once a second, check for expired records and delete some."""
        if self._snapshots.is_in_progress:
            self._copy_chunks()
            return True
        if is_paced and time.monotonic() < self._check_at_s:
            return False
        is_more = self._snapshots.delete_old() or self._delete_or_begin(is_paced)
        self._check_at_s = time.monotonic() + (0 if is_more else CHECK_INTERVAL_S)
        return is_more

    def _copy_chunks(self) -> None:
        """Copy a chunk, and more if rounds take long: the WAL grows until the snapshot is complete."""
        began_s = time.monotonic()
        deadline_s = began_s + (began_s - self._copied_s) / COPY_TIME_DIVISOR
        self._snapshots.copy_chunk()
        while self._snapshots.is_in_progress and time.monotonic() < deadline_s:
            self._snapshots.copy_chunk()
        self._copied_s = self._check_at_s = time.monotonic()
        self._snapshot_at_s = self._copied_s + SNAPSHOT_PAUSE_FACTOR * (self._copied_s - self._began_s)

    def end(self) -> None:
        """Abandon a snapshot in progress."""
        self._snapshots.abandon()

    def _delete_or_begin(self, is_paced: bool) -> bool:
        """Delete expired records that a snapshot covers; else begin a snapshot if one is due."""
        covered = self._snapshots.positions()
        expired = self._expired() if self._settings.age_ms or self._settings.bytes_max else {}
        deletable = {partition: end for partition, (first, end) in expired.items() if first < covered.get(partition, 0)}
        if deletable:
            self._delete(deletable)
            return True
        is_due = bool(expired) or self._snapshots.may_hold_forgotten
        if is_due and not (is_paced and time.monotonic() < self._snapshot_at_s):
            self._began_s = self._copied_s = time.monotonic()
            self._snapshots.begin()
            return True
        return False

    def _expired(self) -> Mapping[int, tuple[int, int]]:
        """Return the positions [first, end) of each partition's expired records: the oldest, for one transaction.

        Each partition is read a page at a time, and the next page only once all records of the last one have expired.
        """
        processed, now_ms = self._processed(), self._clock.now_ms()
        page = max(1, DELETED_RECORDS_MAX // max(1, len(processed)))
        candidates = [
            self._candidates(partition, first, position, page, now_ms)
            for partition, (position, first) in processed.items()
        ]
        expiry_ms = now_ms - self._settings.age_ms if self._settings.age_ms else -1
        excess = self._log_bytes() - self._settings.bytes_max if self._settings.bytes_max else 0
        expired: dict[int, tuple[int, int]] = {}
        for candidate in islice(heapq.merge(*candidates, key=attrgetter("appended_at_ms")), DELETED_RECORDS_MAX):
            if candidate.appended_at_ms > expiry_ms and excess <= 0:
                break
            expired[candidate.partition] = (processed[candidate.partition][1], candidate.position + 1)
            excess -= candidate.size
        return expired

    def _processed(self) -> Mapping[int, tuple[int, int]]:
        """Return the position up to which cell, views and outputs all have each partition; and its first position."""
        rows = self._database.rows(
            "SELECT partition, min(cells.position, sources.position, output_positions.position), first"
            " FROM cells JOIN sources USING (partition) JOIN output_positions USING (partition)"
            " JOIN log_partitions USING (partition)"
        )
        return {partition: (position, first) for partition, position, first in rows}

    def _candidates(self, partition: int, first: int, end: int, page: int, now_ms: int) -> Iterator[_ExpiryCandidate]:
        """Read records from the first on, each with the earliest time of itself and the records behind it.

        A record appended while the clock was ahead must not keep older records behind it. The look-ahead is bounded.
        """
        while records := self._read_page(partition, first, end, page):
            first = records[-1].position + 1
            earliest_ms = records[-1].appended_at_ms
            if earliest_ms > now_ms:
                following = self._read_page(partition, first, end)
                earliest_ms = min([earliest_ms, *(record.appended_at_ms for record in following)])
            for index in reversed(range(len(records))):
                if records[index].appended_at_ms > earliest_ms:
                    records[index] = records[index]._replace(appended_at_ms=earliest_ms)
                earliest_ms = records[index].appended_at_ms
            yield from records

    def _read_page(
        self, partition: int, first: int, end: int, limit: int = DELETED_RECORDS_MAX
    ) -> list[_ExpiryCandidate]:
        rows = self._database.rows(
            f"SELECT partition, position, appended_at_ms, {_BYTES} FROM records"  # noqa: S608 - a constant
            " WHERE partition = ? AND position >= ? AND position < ? ORDER BY position LIMIT ?",
            (partition, first, end, limit),
        )
        return [_ExpiryCandidate(*row) for row in rows]

    def _log_bytes(self) -> int:
        size: int = self._database.rows("SELECT ifnull(sum(size), 0) FROM log_partitions")[0][0]
        return size

    def _delete(self, ends: Mapping[int, int]) -> None:
        """Delete records before these positions, as far as a snapshot covers them; update `first` of the partitions.

        A rebuild may have reset the store since the records were selected, so the positions are read again here.
        """
        deleted = 0
        with self._database.transaction() as connection:
            covered, processed = self._snapshots.positions(), self._processed()
            for partition, expired_end in ends.items():
                end = min(expired_end, covered.get(partition, 0), processed.get(partition, (0, 0))[0])
                where = (partition, end)
                size = connection.execute(
                    f"SELECT ifnull(sum({_BYTES}), 0) FROM records WHERE partition = ? AND position < ?",  # noqa: S608
                    where,
                ).fetchone()[0]
                deleted += connection.execute(
                    "DELETE FROM records WHERE partition = ? AND position < ?", where
                ).rowcount
                connection.execute(
                    "UPDATE log_partitions SET first = max(first, ?), size = size - ? WHERE partition = ?",
                    (end, size, partition),
                )
            self._observer.reached(Stage.LOG_TRIMMING, deleted)
