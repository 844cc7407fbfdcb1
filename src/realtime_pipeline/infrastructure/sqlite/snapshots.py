"""Snapshots of cells and views, in tables of the same file."""

import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.infrastructure.codecs.state import decode_customer, decode_session_summaries
from realtime_pipeline.infrastructure.sqlite.cells import CELL_TABLES
from realtime_pipeline.infrastructure.sqlite.connections import Connections
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.schema import SCHEMA_VERSION
from realtime_pipeline.infrastructure.sqlite.views import VIEW_TABLES

CHUNK_BYTES = 512 << 10
"""How much is copied at a time, before it is checked and packed: some 9 ms."""

DROPPED_CHUNKS = 8
PACKING = 1
"""zlib's level: the quickest."""

_VALUE_BYTES = 30
"""What a number counts for: packing it takes as long as so many bytes of a text."""

_NEWEST = "SELECT max(number) FROM snapshots WHERE is_complete AND schema = ?"

_OLD_SNAPSHOTS = "SELECT 1 FROM snapshots WHERE number NOT IN (:kept, :own)"
_OLD_CHUNKS = "SELECT rowid FROM snapshot_chunks WHERE snapshot NOT IN (:kept, :own)"
_FREE = "SELECT 1 FROM snapshot_forgotten WHERE number < :free"
_NO_NUMBER = sys.maxsize
"""Larger than any snapshot's number."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Copy:
    """A snapshot that is being taken: what was read of the file as it was when it began."""

    def __init__(self, number: int, frozen: Connections, connection: sqlite3.Connection) -> None:
        self.number = number
        self.frozen = frozen
        self._connection = connection
        self._rows = self._all()
        self._left: tuple[str, tuple[Any, ...]] | None = None
        self.chunks = 0

    def read(self, sql: str) -> list[Any]:
        with self.frozen.in_use:
            return self._connection.execute(sql).fetchall()

    def _all(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for name in (*CELL_TABLES, *VIEW_TABLES):
            for row in self._connection.execute(f"SELECT * FROM {name}"):  # noqa: S608 - names of our own
                yield name, row

    def chunk(self) -> tuple[str, list[tuple[Any, ...]]]:
        """Read the next rows, all of one table, until they are enough; none at the end."""
        rows: list[tuple[Any, ...]] = []
        name, size = "", 0
        with self.frozen.in_use:
            while size < CHUNK_BYTES and (found := self._left or next(self._rows, None)) is not None:
                self._left = found if rows and found[0] != name else None
                if self._left is not None:
                    break
                name = found[0]
                rows.append(found[1])
                size += sum(len(value) if isinstance(value, bytes | str) else _VALUE_BYTES for value in found[1])
        return name, rows


def _check_readable(name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """See that a store can be built again from rows: their records are removed from the log once they are copied."""
    if name == "customers":
        for customer_id, record in rows:
            decode_customer(record, customer_id)
    elif name == "sessions":
        decode_session_summaries([record for *_, record in rows])


class SqliteSnapshots(Snapshots):
    """Takes a snapshot in pieces, from a connection that sees the file as it was when the snapshot began.

    A snapshot counts when it is complete; what a worker that died has left of one is deleted by the next. It replaces
    the one before it, which is deleted in pieces too. One of another schema counts as none.
    """

    def __init__(self, database: Database, clock: Clock, observer: StageObserver) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._copy: _Copy | None = None

    def positions(self) -> Mapping[int, int]:
        """Where the cells of the newest complete snapshot stand."""
        rows = self._database.rows(
            f"SELECT positions FROM snapshots WHERE number = ({_NEWEST})",  # noqa: S608 - a constant
            (SCHEMA_VERSION,),
        )
        found: Mapping[int, int] = msgspec.json.decode(rows[0][0], type=dict[int, int]) if rows else {}
        return found

    def restore(self) -> None:
        """Write the rows back, as a part of somebody's transaction."""
        with self._database.transaction() as connection:
            chunks = connection.execute(
                f"SELECT name, rows FROM snapshot_chunks WHERE snapshot = ({_NEWEST}) ORDER BY number",  # noqa: S608
                (SCHEMA_VERSION,),
            )
            for name, packed in chunks:
                rows = _decode(zlib.decompress(packed))
                connection.executemany(
                    f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})",  # noqa: S608 - names of our own
                    rows,
                )
            connection.execute("DELETE FROM snapshots WHERE NOT is_complete")

    def erase(self) -> None:
        """Delete all; whoever takes one finds its row gone. Nobody who was forgotten is in any then."""
        with self._database.transaction() as connection:
            for table in ("snapshots", "snapshot_chunks", "snapshot_forgotten"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own

    def forgotten(self) -> int:
        """How many were forgotten since the newest snapshot began, or are in an older one that is not deleted yet."""
        found: int = self._database.rows("SELECT count(*) FROM snapshot_forgotten")[0][0]
        return found

    @property
    def is_outdated(self) -> bool:
        """Whether somebody was forgotten who may be in it."""
        return self.forgotten() > 0

    @property
    def is_being_taken(self) -> bool:
        """Whether one was begun and is not complete."""
        return self._copy is not None

    def begin(self) -> None:
        """Begin a snapshot of the store as it is now."""
        with self._database.transaction() as connection:
            made = connection.execute(
                "INSERT INTO snapshots VALUES (NULL, ?, ?, '{}', 0)", (SCHEMA_VERSION, self._clock.now_ms())
            )
        # Only now: who is forgotten between the two is taken to be in it, rather than not to be.
        self._copy = _Copy(made.lastrowid or 0, *self._database.frozen())

    def go_on(self) -> None:
        """Copy a piece; when nothing is left, make the snapshot the one that counts.

        Raises:
            Damaged, NewerRelease: a customer or a session in the store cannot be read. The snapshot is given up.
        """
        copy = self._copy
        if copy is None:
            return
        try:
            with self._database.translated():
                name, rows = copy.chunk()
            _check_readable(name, rows)
            with self._database.transaction() as connection:
                if not connection.execute("SELECT 1 FROM snapshots WHERE number = ?", (copy.number,)).fetchone():
                    self.give_up()  # another worker has taken over, and deleted it
                elif rows:
                    packed = zlib.compress(_encode(rows), PACKING)
                    connection.execute(
                        "INSERT INTO snapshot_chunks VALUES (?, ?, ?, ?)", (copy.number, copy.chunks, name, packed)
                    )
                    copy.chunks += 1
                    self._observer.reached(Stage.SNAPSHOTTING, len(rows))
                else:
                    self._complete(connection, copy)
        except BaseException:
            self.give_up()
            raise
        if not rows:
            self.give_up()

    def _complete(self, connection: sqlite3.Connection, copy: _Copy) -> None:
        stand: dict[int, int] = dict(copy.read("SELECT partition, position FROM cells"))
        connection.execute(
            "UPDATE snapshots SET is_complete = 1, positions = ? WHERE number = ?",
            (msgspec.json.encode(stand).decode(), copy.number),
        )

    def give_up(self) -> None:
        """Close what is read from; a snapshot that is not complete is deleted later."""
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.frozen.close()

    def drop_old(self) -> bool:
        """Delete a piece of what no longer counts; return whether there was any.

        Once nothing is left of older snapshots, whoever was forgotten before the newest one began is in none.
        """
        if not self._database.rows(f"{_OLD_SNAPSHOTS} UNION ALL {_OLD_CHUNKS} UNION ALL {_FREE} LIMIT 1", self._kept()):
            return False
        with self._database.transaction() as connection:
            kept = self._kept()  # again: another worker may have completed one
            connection.execute("DELETE FROM snapshots WHERE number NOT IN (:kept, :own)", kept)
            connection.execute(
                f"DELETE FROM snapshot_chunks WHERE rowid IN ({_OLD_CHUNKS} LIMIT {DROPPED_CHUNKS})",  # noqa: S608
                kept,
            )
            if not connection.execute(f"{_OLD_CHUNKS} LIMIT 1", kept).fetchone():
                connection.execute("DELETE FROM snapshot_forgotten WHERE number < :free", kept)
        return True

    def _kept(self) -> Mapping[str, int]:
        """Which snapshots are kept; and of which number on the forgotten may be in one of these."""
        kept = self._database.rows(_NEWEST, (SCHEMA_VERSION,))[0][0] or 0
        own = 0 if self._copy is None else self._copy.number
        return {"kept": kept, "own": own, "free": kept or own or _NO_NUMBER}
