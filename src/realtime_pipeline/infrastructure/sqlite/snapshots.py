"""Snapshots of cells and views, in tables of the same file, copied in chunks."""

import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.infrastructure.codecs.panes import decode_chunks
from realtime_pipeline.infrastructure.codecs.state import decode_customer, decode_session_summaries
from realtime_pipeline.infrastructure.sqlite.cells import CELL_TABLES
from realtime_pipeline.infrastructure.sqlite.connections import Connections
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.schema import SCHEMA_VERSION
from realtime_pipeline.infrastructure.sqlite.views import VIEW_TABLES

CHUNK_BYTES = 512 << 10
"""The bytes of one chunk, before it is checked and compressed: some 9 ms."""

DELETED_CHUNKS_MAX = 8
ZLIB_LEVEL = 1
"""The quickest."""

_NUMBER_BYTES = 30
"""What a number counts for: compressing it takes as long as this many bytes of text."""

_NEWEST = "SELECT max(number) FROM snapshots WHERE is_complete AND schema = ?"

_OLD_SNAPSHOTS = "SELECT 1 FROM snapshots WHERE number NOT IN (:newest, :own)"
_OLD_CHUNKS = "SELECT rowid FROM snapshot_chunks WHERE snapshot NOT IN (:newest, :own)"
_CLEARED = "SELECT 1 FROM snapshot_forgotten WHERE number < :cleared"
_NUMBER_MAX = sys.maxsize
"""Larger than any snapshot's number."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _SnapshotInProgress:
    """A snapshot in progress: reads the file as it was when the snapshot began."""

    def __init__(self, number: int, connections: Connections, connection: sqlite3.Connection) -> None:
        self.number = number
        self.connections = connections
        self._connection = connection
        self._rows = self._read_tables()
        self._pending: tuple[str, tuple[Any, ...]] | None = None
        self.chunks = 0

    def read(self, sql: str) -> list[Any]:
        with self.connections.lock:
            return self._connection.execute(sql).fetchall()

    def _read_tables(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for name in (*CELL_TABLES, *VIEW_TABLES):
            for row in self._connection.execute(f"SELECT * FROM {name}"):  # noqa: S608 - constant names
                yield name, row

    def next_chunk(self) -> tuple[str, list[tuple[Any, ...]]]:
        """Read the rows of the next chunk, all of one table; no rows at the end."""
        rows: list[tuple[Any, ...]] = []
        name, size = "", 0
        with self.connections.lock:
            while size < CHUNK_BYTES and (found := self._pending or next(self._rows, None)) is not None:
                self._pending = found if rows and found[0] != name else None
                if self._pending is not None:
                    break
                name = found[0]
                rows.append(found[1])
                size += sum(len(value) if isinstance(value, bytes | str) else _NUMBER_BYTES for value in found[1])
        return name, rows


def _check_readable(name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Check that a store can be rebuilt from these rows: once copied, their records may be deleted from the log."""
    if name == "customers":
        for customer_id, record in rows:
            decode_customer(record, customer_id)
    elif name == "sessions":
        decode_session_summaries([record for *_, record in rows])
    elif name == "panes":
        decode_chunks([(chunk, value) for *_, chunk, value in rows])


class SqliteSnapshots(Snapshots):
    """Takes a snapshot in chunks, on a connection that sees the file as it was when the snapshot began.

    Only a complete snapshot of this schema version is used. It replaces the snapshot before it, which is deleted in
    pieces, as are the chunks of a snapshot that a killed worker left incomplete.
    """

    def __init__(self, database: Database, clock: Clock, observer: StageObserver) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._in_progress: _SnapshotInProgress | None = None

    def positions(self) -> Mapping[int, int]:
        """Return the positions of the cells in the newest complete snapshot."""
        rows = self._database.rows(
            f"SELECT positions FROM snapshots WHERE number = ({_NEWEST})",  # noqa: S608 - a constant
            (SCHEMA_VERSION,),
        )
        found: Mapping[int, int] = msgspec.json.decode(rows[0][0], type=dict[int, int]) if rows else {}
        return found

    def restore(self) -> None:
        """Write the rows back, within the caller's transaction."""
        with self._database.transaction() as connection:
            chunks = connection.execute(
                f"SELECT name, rows FROM snapshot_chunks WHERE snapshot = ({_NEWEST}) ORDER BY number",  # noqa: S608
                (SCHEMA_VERSION,),
            )
            for name, packed in chunks:
                rows = _decode(zlib.decompress(packed))
                connection.executemany(
                    f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})",  # noqa: S608 - constant names
                    rows,
                )
            connection.execute("DELETE FROM snapshots WHERE NOT is_complete")

    def erase(self) -> None:
        """Delete all snapshots, also one in progress, whose worker finds its row deleted."""
        with self._database.transaction() as connection:
            for table in ("snapshots", "snapshot_chunks", "snapshot_forgotten"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names

    def forgotten(self) -> int:
        """Return how many forgotten customers may be in the newest snapshot, or in an older one not deleted yet."""
        found: int = self._database.rows("SELECT count(*) FROM snapshot_forgotten")[0][0]
        return found

    @property
    def may_hold_forgotten(self) -> bool:
        """Whether a snapshot may hold a forgotten customer."""
        return self.forgotten() > 0

    @property
    def is_in_progress(self) -> bool:
        """Whether a snapshot was begun and is not complete."""
        return self._in_progress is not None

    def begin(self) -> None:
        """Begin a snapshot of the store as it is now."""
        with self._database.transaction() as connection:
            inserted = connection.execute(
                "INSERT INTO snapshots VALUES (NULL, ?, ?, '{}', 0)", (SCHEMA_VERSION, self._clock.now_ms())
            )
        # Only after the commit: a customer forgotten in between counts as being in the snapshot, never the reverse.
        self._in_progress = _SnapshotInProgress(inserted.lastrowid or 0, *self._database.begin_read())

    def copy_chunk(self) -> None:
        """Copy the next chunk; when no rows are left, complete the snapshot.

        Raises:
            Damaged, NewerRelease: a customer or a session in the store cannot be decoded. The snapshot is abandoned.
        """
        snapshot = self._in_progress
        if snapshot is None:
            return
        try:
            with self._database.translate_errors():
                name, rows = snapshot.next_chunk()
            _check_readable(name, rows)
            with self._database.transaction() as connection:
                if not connection.execute("SELECT 1 FROM snapshots WHERE number = ?", (snapshot.number,)).fetchone():
                    self.abandon()  # another worker has taken over and deleted it
                elif rows:
                    packed = zlib.compress(_encode(rows), ZLIB_LEVEL)
                    connection.execute(
                        "INSERT INTO snapshot_chunks VALUES (?, ?, ?, ?)",
                        (snapshot.number, snapshot.chunks, name, packed),
                    )
                    snapshot.chunks += 1
                    self._observer.reached(Stage.SNAPSHOTTING, len(rows))
                else:
                    self._complete(connection, snapshot)
        except BaseException:
            self.abandon()
            raise
        if not rows:
            self.abandon()

    def _complete(self, connection: sqlite3.Connection, snapshot: _SnapshotInProgress) -> None:
        positions: dict[int, int] = dict(snapshot.read("SELECT partition, position FROM cells"))
        connection.execute(
            "UPDATE snapshots SET is_complete = 1, positions = ? WHERE number = ?",
            (msgspec.json.encode(positions).decode(), snapshot.number),
        )

    def abandon(self) -> None:
        """Close the snapshot's connection; an incomplete snapshot is deleted later."""
        snapshot, self._in_progress = self._in_progress, None
        if snapshot is not None:
            snapshot.connections.close()

    def delete_old(self) -> bool:
        """Delete a piece of older or abandoned snapshots; return whether there was any.

        Once no older snapshot is left, a customer forgotten before the newest snapshot began is in none.
        """
        if not self._database.rows(
            f"{_OLD_SNAPSHOTS} UNION ALL {_OLD_CHUNKS} UNION ALL {_CLEARED} LIMIT 1", self._retained()
        ):
            return False
        with self._database.transaction() as connection:
            retained = self._retained()  # again: another worker may have completed a snapshot
            connection.execute("DELETE FROM snapshots WHERE number NOT IN (:newest, :own)", retained)
            connection.execute(
                f"DELETE FROM snapshot_chunks WHERE rowid IN ({_OLD_CHUNKS} LIMIT {DELETED_CHUNKS_MAX})",  # noqa: S608
                retained,
            )
            if not connection.execute(f"{_OLD_CHUNKS} LIMIT 1", retained).fetchone():
                connection.execute("DELETE FROM snapshot_forgotten WHERE number < :cleared", retained)
        return True

    def _retained(self) -> Mapping[str, int]:
        """Return the numbers of the snapshots to retain, and the number below which `snapshot_forgotten` is cleared."""
        newest = self._database.rows(_NEWEST, (SCHEMA_VERSION,))[0][0] or 0
        own = 0 if self._in_progress is None else self._in_progress.number
        return {"newest": newest, "own": own, "cleared": newest or own or _NUMBER_MAX}
