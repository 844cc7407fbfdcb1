"""Retention of the log in SQLite."""

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

REMOVED_MAX = 4_000
"""How many records are removed in one transaction, over all partitions: some 10 ms."""

LOOK_EVERY_S = 1.0
COPYING_SHARE = 10
"""Which part of the time a snapshot that is being taken may have, where one piece in each round is less."""

SNAPSHOT_SHARE = 20
"""A paced snapshot begins when so many times as long has passed as the last one took."""

_SIZE = "length(value) + ifnull(length(key), 0)"


class _Head(NamedTuple):
    partition: int
    position: int
    appended_at_ms: int
    size: int


class SqliteRetention(Upkeep):
    """Removes the oldest records of the log, once cells, views and outputs have them and a snapshot has, too.

    So the log holds, from the newest snapshot on, all that a store is built again from. A snapshot is taken when
    records are due that the last one does not cover, and when a customer was forgotten who may be in it. The file does
    not shrink: SQLite uses the pages again.
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
        self._look_at_s = self._snapshot_at_s = self._began_s = self._copied_s = 0.0

    def step(self, is_paced: bool = True) -> bool:
        """Go on with a snapshot; or, now and then, see what is due, and do a piece of it."""
        if self._snapshots.is_being_taken:
            self._go_on()
            return True
        if is_paced and time.monotonic() < self._look_at_s:
            return False
        is_more = self._snapshots.drop_old() or self._look(is_paced)
        self._look_at_s = time.monotonic() + (0 if is_more else LOOK_EVERY_S)
        return is_more

    def _go_on(self) -> None:
        """Copy a piece, and more where rounds take long: the write-ahead log grows until the snapshot is complete."""
        began_s = time.monotonic()
        enough_s = began_s + (began_s - self._copied_s) / COPYING_SHARE
        self._snapshots.go_on()
        while self._snapshots.is_being_taken and time.monotonic() < enough_s:
            self._snapshots.go_on()
        self._copied_s = self._look_at_s = time.monotonic()
        self._snapshot_at_s = self._copied_s + SNAPSHOT_SHARE * (self._copied_s - self._began_s)

    def end(self) -> None:
        """Give up a snapshot that is not complete."""
        self._snapshots.give_up()

    def _look(self, is_paced: bool) -> bool:
        covered = self._snapshots.positions()
        due = self._due() if self._settings.age_ms or self._settings.bytes_max else {}
        removable = {partition: end for partition, (first, end) in due.items() if first < covered.get(partition, 0)}
        if removable:
            self._remove(removable)
            return True
        is_due = bool(due) or self._snapshots.is_outdated
        if is_due and not (is_paced and time.monotonic() < self._snapshot_at_s):
            self._began_s = self._copied_s = time.monotonic()
            self._snapshots.begin()
            return True
        return False

    def _due(self) -> Mapping[int, tuple[int, int]]:
        """Which records of each partition are due, [first, end), the oldest first, as many as one transaction removes.

        No more heads are read than that: of each partition a page, and the next one when that is due.
        """
        stands, now_ms = self._stands(), self._clock.now_ms()
        page = max(1, REMOVED_MAX // max(1, len(stands)))
        heads = [self._heads(partition, first, stand, page, now_ms) for partition, (stand, first) in stands.items()]
        old_ms = now_ms - self._settings.age_ms if self._settings.age_ms else -1
        excess = self._size() - self._settings.bytes_max if self._settings.bytes_max else 0
        due: dict[int, tuple[int, int]] = {}
        for head in islice(heapq.merge(*heads, key=attrgetter("appended_at_ms")), REMOVED_MAX):
            if head.appended_at_ms > old_ms and excess <= 0:
                break
            due[head.partition] = (stands[head.partition][1], head.position + 1)
            excess -= head.size
        return due

    def _stands(self) -> Mapping[int, tuple[int, int]]:
        """Up to where each partition's cell, views and outputs have its records; and where it begins."""
        rows = self._database.rows(
            "SELECT partition, min(cells.position, sources.position, output_positions.position), first"
            " FROM cells JOIN sources USING (partition) JOIN output_positions USING (partition)"
            " JOIN log_partitions USING (partition)"
        )
        return {partition: (stand, first) for partition, stand, first in rows}

    def _heads(self, partition: int, first: int, stand: int, page: int, now_ms: int) -> Iterator[_Head]:
        """Read records from the first on, each with the earliest time of it and those behind it.

        A record from when the clock was ahead must not keep older ones behind it. The look behind is bounded.
        """
        while heads := self._page(partition, first, stand, page):
            first = heads[-1].position + 1
            earliest_ms = heads[-1].appended_at_ms
            if earliest_ms > now_ms:
                earliest_ms = min([earliest_ms, *(head.appended_at_ms for head in self._page(partition, first, stand))])
            for index in reversed(range(len(heads))):
                if heads[index].appended_at_ms > earliest_ms:
                    heads[index] = heads[index]._replace(appended_at_ms=earliest_ms)
                earliest_ms = heads[index].appended_at_ms
            yield from heads

    def _page(self, partition: int, first: int, stand: int, limit: int = REMOVED_MAX) -> list[_Head]:
        rows = self._database.rows(
            f"SELECT partition, position, appended_at_ms, {_SIZE} FROM records"  # noqa: S608 - a constant
            " WHERE partition = ? AND position >= ? AND position < ? ORDER BY position LIMIT ?",
            (partition, first, stand, limit),
        )
        return [_Head(*row) for row in rows]

    def _size(self) -> int:
        size: int = self._database.rows("SELECT ifnull(sum(size), 0) FROM log_partitions")[0][0]
        return size

    def _remove(self, ends: Mapping[int, int]) -> None:
        """Delete records in front of positions, as far as a snapshot covers them, and note where partitions begin then.

        A rebuild may have set the store back since it was looked at: so where all stand is read again here.
        """
        removed = 0
        with self._database.transaction() as connection:
            covered, stands = self._snapshots.positions(), self._stands()
            for partition, due in ends.items():
                end = min(due, covered.get(partition, 0), stands.get(partition, (0, 0))[0])
                where = (partition, end)
                size = connection.execute(
                    f"SELECT ifnull(sum({_SIZE}), 0) FROM records WHERE partition = ? AND position < ?",  # noqa: S608
                    where,
                ).fetchone()[0]
                removed += connection.execute(
                    "DELETE FROM records WHERE partition = ? AND position < ?", where
                ).rowcount
                connection.execute(
                    "UPDATE log_partitions SET first = max(first, ?), size = size - ? WHERE partition = ?",
                    (end, size, partition),
                )
            self._observer.reached(Stage.LOG_TRIMMING, removed)
