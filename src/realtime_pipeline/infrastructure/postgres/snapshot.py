"""Reading tables as they are when a capture begins: in the order of their keys, in one snapshot of Postgres.

The replication slot exists before the first row is read, so that the stream has every change that a snapshot does not
see. When the process ends before all rows are read, the next one reads the rest in a snapshot of its own; the position
says which keys were read in which. A change in the stream is left out where the snapshot that read its row saw the
transaction already: it is decided by transaction ids, as Postgres decides what is visible, and so has no gap and no
overlap, whoever writes meanwhile.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.errors import Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.infrastructure.postgres.documents import RowReader, snapshot_record
from realtime_pipeline.infrastructure.postgres.position import (
    Key,
    KeyRange,
    Position,
    SnapshotPart,
    TableIdentity,
    VisibleTransactions,
)
from realtime_pipeline.infrastructure.postgres.session import Row, Session, lsn_number, lsn_text, quoted
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.tables import Table

PARTS_MAX: Final = 200
BATCH_BYTES_MAX: Final = 8 << 20
FETCH_BYTES: Final = 1 << 20
FETCH_ROWS_FIRST: Final = 100
FETCH_ROWS_MAX: Final = 2_000
SORT_S: Final = 6 * 3600.0
"""How long Postgres may sort the keys of a large table."""


class Fence:
    """Makes sure that the first snapshot sees all that the slot does not have.

    A transaction's commit is in the WAL a little before snapshots see it, and longer where it waits for a standby. If
    that was before the slot was created, only a snapshot has it. So the first snapshot waits until every transaction
    has ended that had begun when slot and publication were there.
    """

    def __init__(self) -> None:
        self._xid = 0

    def wait(self, session: Session, timeout_s: float) -> None:
        """Wait for the transactions.

        Raises:
            Unreachable: some are still running.
        """
        if not self._xid:
            self._xid = int(str(session.rows("SELECT pg_current_xact_id()")[0][0]))
        deadline_s = time.monotonic() + timeout_s
        while int(str(session.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())")[0][0])) <= self._xid:
            if time.monotonic() > deadline_s:
                raise Unreachable("waiting for transactions that were running when the replication slot was created")
            time.sleep(0.02)


class Snapshot:
    """Reads what is left of the pending tables, in one transaction."""

    def __init__(
        self,
        settings: PostgresSettings,
        control: Session,
        pending: Mapping[Table, TableIdentity],
        position: Position,
    ) -> None:
        if len(position.parts) >= PARTS_MAX:
            raise UnrecoverableState(
                f"the snapshot was interrupted {PARTS_MAX} times: find out why, then capture under a new name and slot"
            )
        self._position = position
        self._before = position.parts
        self._identities = pending
        self._pending = list(pending)
        self._ranges: list[KeyRange] = []
        self._reader: RowReader | None = None
        self._fetch_rows = FETCH_ROWS_FIRST
        self._session = Session(settings)
        try:
            self._begin(settings, control)
        except BaseException:
            self._session.close()
            raise

    def _begin(self, settings: PostgresSettings, control: Session) -> None:
        self._session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._session.rows(f"SET LOCAL lock_timeout = {settings.request_timeout_ms}")
        # Locked before the snapshot is taken: a table that is rewritten after that would look empty.
        locked = ", ".join(table.sql for table in self._pending)
        self._session.rows(f"LOCK TABLE {locked} IN ACCESS SHARE MODE", timeout_s=2 * settings.request_timeout_s)
        ((visible, read_ms),) = self._session.rows(
            "SELECT pg_current_snapshot(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        )
        # Committed after the snapshot, and so flushed after all commits that the snapshot sees: a crash of Postgres
        # cannot take one back, and their LSNs are lower.
        control.rows("SELECT pg_logical_emit_message(true, 'realtime-pipeline', '')")
        ((until,),) = control.rows("SELECT pg_current_wal_lsn()")
        self._visible = VisibleTransactions.parse(str(visible))
        self._read_ms = int(str(read_ms))
        self._until = lsn_number(str(until))

    @property
    def table(self) -> str:
        """The table that is read; "" at the end."""
        return self._pending[0].name if self._pending else ""

    @property
    def position(self) -> Position:
        """The position behind the rows that were read."""
        return self._position

    def read(self, records_max: int) -> list[SourceRecord]:
        """Read the next rows of a table; none at the end of the last table."""
        records: list[SourceRecord] = []
        while self._pending and not records:
            records = self._read_table(self._pending[0], records_max)
        return records

    def _read_table(self, table: Table, records_max: int) -> list[SourceRecord]:
        reader = self._reader or self._open_cursor(table)
        records, size, key = list[SourceRecord](), 0, None
        lsn, is_last = lsn_text(self._until), False
        while len(records) < records_max and size < BATCH_BYTES_MAX and not is_last:
            count = min(self._fetch_rows, records_max - len(records))
            rows = self._session.rows(f"FETCH {count} FROM captured_rows", timeout_s=SORT_S)
            is_last = len(rows) < count
            for row in rows:
                key = table.key_of({reader.names[index]: row[index] for index in table.key})
                records.append(snapshot_record(table.name, key, reader.row(row), lsn, self._read_ms))
            size += self._note_size(rows)
        self._advance(table, key, is_last)
        return records

    def _note_size(self, rows: Sequence[Row]) -> int:
        size = sum(len(value) for row in rows for value in row if value is not None)
        if rows:
            self._fetch_rows = max(1, min(FETCH_ROWS_MAX, FETCH_BYTES * len(rows) // max(1, size)))
        return size

    def _open_cursor(self, table: Table) -> RowReader:
        after = resume_key(self._before, table.name)
        names = ", ".join(quoted(name) for name, _ in table.columns)
        where = "" if after is None else f" WHERE {table.behind(after)}"
        self._session.rows(
            f"DECLARE captured_rows NO SCROLL CURSOR FOR SELECT {names} FROM {table.sql}{where} "  # noqa: S608
            f"ORDER BY {table.key_order}",
            timeout_s=SORT_S,
        )
        self._reader = RowReader(table.columns)
        self._ranges.append(KeyRange(table.name, after, after))
        return self._reader

    def _advance(self, table: Table, key: Key | None, is_last: bool) -> None:
        """Note what was read; behind the last row, the snapshot has answered for all higher keys as well."""
        through = None if is_last else key
        self._ranges[-1] = attrs.evolve(self._ranges[-1], through=through)
        tables = self._position.tables
        if is_last:
            self._session.rows("CLOSE captured_rows")
            self._reader = None
            self._pending.pop(0)
            tables = {**tables, table.name: self._identities[table]}
        part = SnapshotPart(self._visible, self._until, tuple(self._ranges))
        self._position = attrs.evolve(self._position, tables=tables, parts=(*self._before, part))

    def close(self) -> None:
        """End the transaction."""
        self._session.close()


def resume_key(parts: Sequence[SnapshotPart], table: str) -> Key | None:
    """The last key of a table that an earlier snapshot has read."""
    read = [r.through for part in parts for r in part.ranges if r.table == table and r.through is not None]
    return max(read, default=None)
