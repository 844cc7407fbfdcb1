"""The event log in SQLite: publishing, and reading as its one worker."""

import os
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_log import EventLog, LogIdentity, RebalanceListener
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.routing import CONSISTENT, partition_for
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.sqlite.database import Database

POLL_INTERVAL_S = 0.002
READ_BYTES_MAX = 64_000_000
"""A poll that has read so many bytes returns, however few records they are: each may be large."""


def ensure_log_identity(database: Database, partitions: int) -> LogIdentity:
    """Return the identity of the log in a file; write a new one, with this number of partitions, if there is none."""
    with database.transaction(durable=True) as connection:
        new = {"log_id": uuid4().hex, "partitions": str(partitions), "partitioner": CONSISTENT}
        connection.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", new.items())
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    return LogIdentity(meta["log_id"], int(meta["partitions"]), meta["partitioner"])


class SqliteEventPublisher(EventPublisher):
    """Appends records to the file, synced to the disk before `publish` returns; any number of processes may publish."""

    def __init__(self, database: Database, partitions: int, clock: Clock, observer: StageObserver) -> None:
        self._database = database
        self._partitions = ensure_log_identity(database, partitions).partitions
        self._clock = clock
        self._observer = observer

    @property
    def partitions(self) -> int:
        """How many partitions the log has."""
        return self._partitions

    def publish(self, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records in one transaction."""
        with self._database.transaction(durable=True) as connection:
            self._database.check_same_file()
            ends = self.append(connection, records)
            self._observer.reached(Stage.APPENDED, len(records))
        self._observer.reached(Stage.ACKNOWLEDGED, len(records))
        return ends

    def append(self, connection: sqlite3.Connection, records: Sequence[Outgoing]) -> Mapping[int, int]:
        """Append records within the caller's transaction; return the end of each partition that got some."""
        by_partition: dict[int, list[Outgoing]] = {}
        for record in records:
            partition = record.partition
            if partition is None:
                partition = partition_for(record.value if record.key is None else record.key, self._partitions)
            by_partition.setdefault(partition, []).append(record)
        now_ms = self._clock.now_ms()
        ends: dict[int, int] = {}
        for partition, ordered in by_partition.items():
            row = connection.execute("SELECT next FROM log_partitions WHERE partition = ?", (partition,)).fetchone()
            next_position = 0 if row is None else row[0]
            ends[partition] = next_position + len(ordered)
            size = sum(len(record.value) + len(record.key or b"") for record in ordered)
            connection.execute(
                "INSERT INTO log_partitions VALUES (?, 0, ?, ?) ON CONFLICT (partition)"
                " DO UPDATE SET next = excluded.next, size = size + excluded.size",
                (partition, ends[partition], size),
            )
            connection.executemany(
                "INSERT INTO records (partition, position, key, value, appended_at_ms, origin)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (partition, next_position + index, record.key, record.value, now_ms, record.origin)
                    for index, record in enumerate(ordered)
                ),
            )
        return ends


class SqliteEventLog(EventLog):
    """Reads all partitions of the file's log as its only worker; a second worker that subscribes takes over."""

    def __init__(self, database: Database, partitions: int) -> None:
        self._database = database
        self._identity = ensure_log_identity(database, partitions)
        self._token = uuid4().hex
        self._process = os.getpid()
        self._listener: RebalanceListener | None = None
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._seen_version: tuple[int, int] | None = None
        self._first = 0

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._identity

    def subscribe(self, listener: RebalanceListener) -> None:
        """Become the file's worker; the next poll assigns the partitions."""
        self._listener = listener
        self._positions.clear()
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('worker', ?)", (self._token,))

    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read records; while there are none, check the file for new ones every few milliseconds."""
        self._check_owner()
        deadline = time.monotonic() + timeout_s
        while True:
            version = self._data_version()
            if version != self._seen_version:
                records = self._read(limit)
                if records:
                    return records
                self._seen_version = version
            if time.monotonic() >= deadline:
                return []
            time.sleep(POLL_INTERVAL_S)

    def verify_identity(self) -> None:
        """Do nothing: `poll` has checked that the file is still the same."""

    def consumed_position(self, partition: int) -> int:
        """Return the position up to which a partition was read."""
        return self._positions.get(partition, 0)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from other positions."""
        self._positions.update(positions)
        self._seen_version = None

    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions."""
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again."""
        self._paused -= set(partitions)
        self._seen_version = None

    def workers(self) -> int:
        """0: a second worker takes over from the first."""
        return 0

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """Return the first position still held and the position after the last one, of each partition."""
        rows = self._database.rows("SELECT partition, first, next FROM log_partitions")
        found = {partition: (first, end) for partition, first, end in rows}
        return {partition: found.get(partition, (0, 0)) for partition in partitions}

    def check_whole(self, partitions: Collection[int]) -> None:
        """Check that the file has a record for each position from the first to the last."""
        rows = self._database.rows(
            "SELECT partition, first, next, (SELECT count(*) FROM records WHERE records.partition = known.partition)"
            " FROM log_partitions AS known"  # in one statement: others may append meanwhile
        )
        for partition, first, end, held in rows:
            if partition in partitions and held != end - first:
                raise UnrecoverableState(
                    f"partition {partition}: of {counted(end - first, 'record')} from position {first} on the log "
                    f"holds {held:,}; bring {self._database.path} back from a backup"
                )

    def _check_owner(self) -> None:
        if os.getpid() != self._process:
            raise UnrecoverableState(
                "this worker was made before the process was forked: open a Pipeline in each, after the fork"
            )
        if not self._database.is_same_file():
            raise UnrecoverableState(f"{self._database.path} was deleted or replaced under the worker: start it again")
        token = self._database.rows("SELECT value FROM meta WHERE name = 'worker'")[0][0]
        if self._listener is not None and token != self._token:
            self._listener.on_revoked(list(self._positions))
            self._positions.clear()
            raise UnrecoverableState(
                f"another worker has taken over {self._database.path}; one file has one worker: let only one run"
            )
        if self._listener is not None and not self._positions:
            self.seek(self._listener.on_assigned(range(self._identity.partitions)))

    def _data_version(self) -> tuple[int, int]:
        """Return a value that changes when another connection commits; it is comparable on one connection only."""
        return self._database.connections_number, self._database.rows("PRAGMA data_version")[0][0]

    def _read(self, limit: int) -> list[Record]:
        """Read an equal share of every partition, up to the limits of records and bytes.

        Each call begins with another partition, so that none is starved.
        """
        partitions = sorted(self._positions.keys() - self._paused)
        if not partitions:
            return []
        share = max(1, limit // len(partitions))
        self._first = (self._first + 1) % len(partitions)
        bounds = self.bounds(partitions)  # read before the records: publishers may append meanwhile
        polled: list[Record] = []
        read_bytes = 0

        def is_enough(row: tuple[Any, ...]) -> bool:
            nonlocal read_bytes
            read_bytes += len(row[3])
            return read_bytes >= READ_BYTES_MAX

        for partition in partitions[self._first :] + partitions[: self._first]:
            if read_bytes >= READ_BYTES_MAX or len(polled) >= limit:
                break
            rows = self._database.rows_until(
                is_enough,
                "SELECT partition, position, key, value, appended_at_ms, origin FROM records"
                " WHERE partition = ? AND position >= ? ORDER BY position LIMIT ?",
                (partition, self._positions[partition], min(share, limit - len(polled))),
            )
            self._check_gapless(partition, bounds[partition][1], [position for _, position, *_ in rows])
            polled += map(Record._make, rows)
        self._positions.update((record.partition, record.position + 1) for record in polled)
        return polled

    def _check_gapless(self, partition: int, end: int, read: Sequence[int]) -> None:
        """Check that the positions read follow the partition's position without a gap.

        Raises:
            UnrecoverableState: records were deleted that are not processed yet.
        """
        position = self._positions[partition]
        expected = range(position, position + len(read))
        if (not read and position < end) or (read and (read[0], read[-1]) != (expected[0], expected[-1])):
            raise UnrecoverableState(
                f"partition {partition}: records that are not processed yet are gone from the log, from position "
                f"{position} on; bring {self._database.path} back from a backup"
            )
