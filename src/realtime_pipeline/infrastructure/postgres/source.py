"""The rows of Postgres tables and their changes as a source: a snapshot, then the stream of a replication slot."""

import time
from collections.abc import Mapping
from typing import Final

import attrs

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch
from realtime_pipeline.infrastructure.postgres.changes import ChangeReader
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.slot import Slot, SlotStatus
from realtime_pipeline.infrastructure.postgres.snapshot import Fence, Snapshot
from realtime_pipeline.infrastructure.postgres.stream import PART, ChangeStream
from realtime_pipeline.infrastructure.postgres.tables import Catalogue, Columns, Table

STATUS_S: Final = 1.0
NAME_CHARACTERS_MAX: Final = 200
UNITS: Final = (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10))


class PostgresSource(Source):
    """Yields a document for each row of the tables, and then for each change.

    A document is a mapping: `table` (`public.orders`), `op` (`snapshot`, `insert`, `update`, `delete`, `truncate`),
    `row` (of a delete the row before, or its key; of a truncate none), `lsn` and `committed_at` (ms since 1970) of the
    transaction or the snapshot. Updates have `old`, the row before with REPLICA IDENTITY FULL, else its key where that
    has changed, and name in `unchanged` the columns that the stream does not carry, since their large values are
    unchanged.

    `columns` says which tables are captured, and which of their columns the mapping reads: reading stops where a table
    does not have them any more. A table that is added later is read from its beginning.
    """

    def __init__(self, name: str, settings: PostgresSettings, columns: Columns) -> None:
        self._name = name
        self._settings = settings
        self._columns = columns
        self._fence = Fence()
        self._control: Session | None = None
        self._capture: _Capture | None = None

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def open(self, positions: Positions) -> None:
        """Create publication and slot at first; check that they have everything behind the position."""
        self.close()
        self._control = Session(self._settings)
        stored = positions.get(PART)
        try:
            position = Position.decode(stored) if stored else None
            self._capture = _Capture(self._settings, self._control, self._columns, position, self._fence)
        except BaseException:
            self.close()
            raise

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read rows of the snapshot; then changes."""
        return self._opened().read(records_max, timeout_s)

    def acknowledge(self, positions: Positions) -> None:
        """Let Postgres delete the WAL before the position."""
        if stored := positions.get(PART):
            self._opened().acknowledge(Position.decode(stored).lsn)

    def lag(self) -> str:
        """The bytes of WAL that were written since the position that was read."""
        return "" if self._capture is None else self._capture.lag()

    def warning(self) -> str:
        """Whether the slot retains much WAL, or may lose some."""
        return "" if self._capture is None else self._capture.warning()

    def close(self) -> None:
        """Close the connections; an interrupted snapshot goes on in another one."""
        if self._capture is not None:
            self._capture.close()
        if self._control is not None:
            self._control.close()
        self._capture = self._control = None

    def _opened(self) -> "_Capture":
        if self._capture is None:
            raise UnrecoverableState(f"{self._name} is not open")
        return self._capture


class _Capture:
    """An open source."""

    def __init__(
        self, settings: PostgresSettings, control: Session, columns: Columns, stored: Position | None, fence: Fence
    ) -> None:
        self._settings = settings
        self._control = control
        self._columns = columns
        self._slot = Slot(settings, control)
        self._catalogue = Catalogue(settings, control, columns)
        self._snapshot: Snapshot | None = None
        self._stream: ChangeStream | None = None
        self._status_at_s = 0.0
        self._checked_at_s = time.monotonic()
        self._catalogue.check_server()
        system, timeline = self._slot.identity()
        if stored is not None:
            self._slot.check(stored)
            self._position = _without_other_tables(stored, columns)
            self._catalogue.check_tables(self._position.tables)
        pending = [table for table in sorted(columns) if stored is None or table not in stored.tables]
        self._tables: Mapping[str, Table] = {table: self._catalogue.table(table) for table in sorted(columns)}
        published = self._catalogue.publish_tables(pending)
        if stored is None:
            created = self._slot.status() or self._slot.create()
            self._position = Position(system, timeline, created.confirmed_lsn)
        self._status = self._slot.status()
        if pending:
            fence.wait(control, settings.request_timeout_s)
            tables = {self._tables[name]: published[name] for name in pending}
            self._snapshot = Snapshot(settings, control, tables, self._position)
        else:
            self._start_stream()

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read the next batch."""
        self._check_tables()
        if self._snapshot is not None:
            records = self._snapshot.read(records_max)
            self._position = self._snapshot.position
            if not self._snapshot.table:
                self._snapshot.close()
                self._snapshot = None
            return SourceBatch(tuple(records), {PART: self._position.encode()})
        stream = self._stream or self._start_stream()
        batch = stream.read(records_max, timeout_s)
        self._position = stream.position
        return batch

    def acknowledge(self, lsn: int) -> None:
        """Confirm to the slot, where the stream is open; it is told again later."""
        if self._stream is not None:
            self._stream.acknowledge(lsn)

    def lag(self) -> str:
        """How much WAL is behind the position."""
        status = self._current_status()
        behind = "" if status is None else f"{bytes_text(max(0, status.wal_lsn - self._position.lsn))} behind"
        if self._snapshot is not None:
            return f"reading {self._snapshot.table}, {behind}"
        return behind

    def warning(self) -> str:
        """What may become of the slot."""
        status = self._current_status()
        if status is None:
            return ""
        if status.wal_status == "unreserved":
            return (
                f"replication slot {self._settings.slot} is about to be lost: it retains more than "
                "max_slot_wal_keep_size; raise that, or find out why the capture is slow"
            )
        if status.retained_bytes > self._settings.slot_warning_bytes:
            return (
                f"replication slot {self._settings.slot} retains {bytes_text(status.retained_bytes)} of WAL on "
                "Postgres's disk"
            )
        return ""

    def close(self) -> None:
        """Close what was opened here."""
        for opened in (self._snapshot, self._stream):
            if opened is not None:
                opened.close()
        self._snapshot = self._stream = None

    def _start_stream(self) -> "ChangeStream":
        self._slot.wait_until_free()
        reader = ChangeReader(self._catalogue, self._columns, self._tables, self._position)
        status = self._current_status()
        end_lsn = 0 if status is None else status.wal_lsn
        self._stream = ChangeStream(self._settings, self._slot, reader, end_lsn)
        return self._stream

    def _current_status(self) -> SlotStatus | None:
        """The slot's status, at most a second old."""
        now_s = time.monotonic()
        if self._status is None or now_s > self._status_at_s + STATUS_S:
            self._status = self._slot.status()
            self._status_at_s = now_s
        return self._status

    def _check_tables(self) -> None:
        if time.monotonic() > self._checked_at_s + self._settings.heartbeat_ms / 1000:
            self._catalogue.check_tables(self._position.tables)
            self._checked_at_s = time.monotonic()


def _without_other_tables(position: Position, columns: Columns) -> Position:
    """Forget tables that are not captured any more; captured again, they are read from their beginning."""
    parts = (attrs.evolve(part, ranges=tuple(r for r in part.ranges if r.table in columns)) for part in position.parts)
    return attrs.evolve(
        position,
        tables={table: oid for table, oid in position.tables.items() if table in columns},
        parts=tuple(part for part in parts if part.ranges),
    )


def bytes_text(count: int) -> str:
    """Write a number of bytes, as "3.2 MB"."""
    for unit, size in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
