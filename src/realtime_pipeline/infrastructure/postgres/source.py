"""The rows of Postgres tables and their changes as a source: a snapshot, then the stream of a replication slot."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import attrs

from realtime_pipeline.application.errors import PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord
from realtime_pipeline.infrastructure.postgres.changes import ChangeReader, Numbered
from realtime_pipeline.infrastructure.postgres.pgoutput import Malformed, decode
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import Keepalive, Session, StatementFailed
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.slot import Slot, SlotStatus
from realtime_pipeline.infrastructure.postgres.snapshot import BATCH_BYTES_MAX, Fence, Snapshot
from realtime_pipeline.infrastructure.postgres.tables import Catalogue, Columns, Table

PART: Final = "changes"
"""The only part: the changes of all tables come in one order."""

UNRELATED_MESSAGES_MAX: Final = 100_000
"""So many messages without a record end a call of `read`."""

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
        self._capture = _Capture(
            self._settings, self._control, self._columns, Position.decode(stored) if stored else None, self._fence
        )

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
        self._stream: _Stream | None = None
        self._status_at_s = 0.0
        self._checked_at_s = time.monotonic()
        self._catalogue.check_server()
        system, timeline = self._slot.identity()
        if stored is not None:
            self._slot.check(stored)
            self._position = _without_other_tables(stored, columns)
            self._catalogue.check_oids(self._position.tables)
        pending = [table for table in sorted(columns) if stored is None or table not in stored.tables]
        self._catalogue.publish_tables(pending)
        self._tables: Mapping[str, Table] = {table: self._catalogue.table(table) for table in sorted(columns)}
        if stored is None:
            created = self._slot.status() or self._slot.create()
            self._position = Position(system, timeline, created.confirmed_lsn)
        self._status = self._slot.status()
        if pending:
            fence.wait(control, settings.request_timeout_s)
            self._snapshot = Snapshot(settings, control, [self._tables[name] for name in pending], self._position)
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

    def _start_stream(self) -> "_Stream":
        self._slot.wait_until_free()
        reader = ChangeReader(self._catalogue, self._columns, self._tables, self._position)
        status = self._current_status()
        end_lsn = 0 if status is None else status.wal_lsn
        self._stream = _Stream(self._settings, self._slot, reader, end_lsn)
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
            self._catalogue.check_oids(self._position.tables)
            self._checked_at_s = time.monotonic()


class _Stream:
    """The connection that receives changes."""

    def __init__(self, settings: PostgresSettings, slot: Slot, reader: ChangeReader, end_lsn: int) -> None:
        self._settings = settings
        self._slot = slot
        self._reader = reader
        self._end_lsn = end_lsn
        self._received_lsn = 0
        self._acknowledged_lsn = 0
        self._returned = reader.position
        self._left: list[Numbered] = []
        self._failure: PipelineError | None = None
        self._done_before_failure = 0
        self._session = Session(settings, replication=True)
        try:
            self._session.start_stream(settings.slot, settings.publication)
        except StatementFailed as failed:
            self._session.close()
            raise slot.unreadable(failed.error) from None
        self._beat()

    @property
    def position(self) -> Position:
        """The position that was returned last."""
        return self._returned

    def acknowledge(self, lsn: int) -> None:
        """Tell the server what the log has."""
        self._acknowledged_lsn = max(self._acknowledged_lsn, lsn)
        self._session.confirm(max(self._received_lsn, lsn), self._acknowledged_lsn)

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read what has come; wait for the first change.

        At first it waits, for longer where it must, until all that was committed before the stream began has come.
        """
        try:
            records = self._records(records_max, timeout_s)
        except Unavailable as error:
            raise self._slot.unreadable(error) from None
        if records:
            self._reader.cut(self._taken_count())
            return self._batch(records)
        if self._failure is not None:
            raise self._failure
        if time.monotonic() > self._beat_at_s:
            self._beat()
            if self._reader.position != self._returned:
                return self._batch(records)
        return None

    def _records(self, records_max: int, timeout_s: float) -> list[SourceRecord]:
        left, self._left = self._left[:records_max], self._left[records_max:]
        records, size = [record for _, record in left], 0
        is_behind = self._received_lsn < self._end_lsn
        deadline_s = time.monotonic() + max(timeout_s, self._settings.request_timeout_s if is_behind else 0.0)
        for _ in range(UNRELATED_MESSAGES_MAX + records_max):
            if self._failure is not None or len(records) >= records_max or size >= BATCH_BYTES_MAX:
                break
            wait_s = 0.0 if records else max(0.0, deadline_s - time.monotonic())
            message = self._session.receive(wait_s)
            if isinstance(message, bytes):
                size += len(message)
                records += self._taken(message, records_max - len(records))
            elif message is not None:
                self._keep_alive(message)
                if is_behind and self._received_lsn >= self._end_lsn:
                    is_behind, deadline_s = False, time.monotonic() + timeout_s
            elif records or time.monotonic() >= deadline_s:
                break
        if is_behind and not records:
            self._end_lsn = 0  # the server did not say that it was read: it is slow, or has nothing
        return records

    def _taken_count(self) -> int:
        """How many changes of the current transaction are returned, or of no interest."""
        if self._left:
            return self._left[0][0] - 1
        return self._reader.done if self._failure is None else self._done_before_failure

    def _taken(self, message: bytes, records_max: int) -> list[SourceRecord]:
        self._done_before_failure = self._reader.done
        try:
            numbered = list(self._reader.take(decode(message)))
        except Malformed as error:
            self._failure = UnrecoverableState(f"the stream of Postgres cannot be read, report this error: {error}")
            return []
        except PipelineError as error:  # what came before is published first
            self._failure = error
            return []
        self._left = numbered[records_max:]
        return [record for _, record in numbered[:records_max]]

    def _keep_alive(self, keepalive: Keepalive) -> None:
        if self._reader.is_between_transactions:
            self._received_lsn = max(self._received_lsn, keepalive.end_lsn)
            self._reader.move(keepalive.end_lsn)
        if keepalive.reply_requested:
            self._session.confirm(self._received_lsn, self._acknowledged_lsn)

    def _batch(self, records: list[SourceRecord]) -> SourceBatch:
        self._returned = self._reader.position
        self._beat_at_s = time.monotonic() + self._settings.heartbeat_ms / 1000
        return SourceBatch(tuple(records), {PART: self._returned.encode()})

    def _beat(self) -> None:
        """Ask how far the server has read its WAL, so that the slot moves past what other tables have written."""
        self._session.confirm(self._received_lsn, self._acknowledged_lsn, request_reply=True)
        self._beat_at_s = time.monotonic() + self._settings.heartbeat_ms / 1000

    def close(self) -> None:
        """Close the connection; Postgres frees the slot."""
        with suppress(PipelineError):
            self._session.close()


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
