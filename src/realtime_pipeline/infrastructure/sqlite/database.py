"""One SQLite file, opened once by every thread that uses it."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.infrastructure.sqlite.connections import LOCK, Connections, is_carried
from realtime_pipeline.infrastructure.sqlite.schema import check_version, ensure_schema, refuse_others

BUSY_S = 30.0
LOOK_AGAIN_S = 0.005
SEEN_EVERY_S = 1.0
"""How often a thread sees whether the file it has open is still there."""

_PRAGMAS = """
PRAGMA wal_autocheckpoint = 8000;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
"""


def expanded(path: Path) -> Path:
    """The path, with the home of a user in place of `~` or `~user`.

    Raises:
        Unavailable: the machine does not know the user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise Unavailable(f"{path}: this machine knows no such user, or no home of theirs; name a file") from None


class Database:
    """Connections to one file in WAL mode: many readers beside one writer.

    Each thread has connections of its own. `durable` ones sync every commit to the disk; what the others write
    survives the death of the process at once, and that of the machine as soon as a durable commit or a checkpoint
    follows (order is kept, so what is lost is only the newest).
    """

    def __init__(self, path: Path) -> None:
        self.path = expanded(path)
        self._local = threading.local()
        self._all: weakref.WeakSet[Connections] = weakref.WeakSet()
        self._closed = False

    def connection(self, durable: bool = False) -> sqlite3.Connection:
        """This thread's connection, opened at its first use, closed when the thread ends."""
        mine = self._mine()
        connection = mine.opened.get(durable)
        if connection is None:
            connection = self._opened(mine, durable)
        elif time.monotonic() - mine.seen_s >= SEEN_EVERY_S:
            self.check_there()
            mine.seen_s = time.monotonic()
        return connection

    def frozen(self) -> tuple[Connections, sqlite3.Connection]:
        """Open a connection beside the thread's that reads the file as it is now, until it is closed.

        Nobody waits for it; the write-ahead log grows as long as it is open. It is in a transaction. Returns what to
        close, whose `in_use` is to be held while the connection is used; and the connection.
        """
        apart = Connections(self.path)
        with LOCK:
            self._all.add(apart)
        with apart.in_use, self.translated():
            connection = self._opened(apart, durable=False)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM meta").fetchone()
        return apart, connection

    def _opened(self, connections: Connections, durable: bool) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"{self.path} was closed; open another pipeline on it")
        if is_carried(self.path):
            raise Unavailable(
                f"{self.path} was in use when this process was forked, and cannot be opened here: fork before a "
                "pipeline is used, or start a new process"
            )
        with self.translated():
            opened = connections.opened[durable] = self._open(durable)
        if connections.inode is None:
            connections.inode, connections.seen_s = self._inode(), time.monotonic()
        return opened

    @property
    def thread_number(self) -> int:
        """A number for the thread that asks, and for what it has open."""
        return self._mine().number

    def _mine(self) -> Connections:
        mine: Connections | None = getattr(self._local, "connections", None)
        if mine is None:
            mine = self._local.connections = Connections(self.path)
            with LOCK:
                self._all.add(mine)
        return mine

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Read rows."""
        with self._mine().in_use, self.translated():
            return self.connection().execute(sql, parameters).fetchall()

    def rows_until(self, is_last: Callable[[Any], bool], sql: str, parameters: Sequence[object]) -> list[Any]:
        """Read rows up to the first of which that is said."""
        found = []
        with self._mine().in_use, self.translated(), closing(self.connection().execute(sql, parameters)) as rows:
            for row in rows:
                found.append(row)
                if is_last(row):
                    break
        return found

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Write, all or nothing. Within a transaction of the same connection, become part of it."""
        with self._mine().in_use:
            connection = self.connection(durable)
            if connection.in_transaction:
                yield connection
                return
            with self.translated():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    check_version(connection, self.path)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise

    def is_there(self) -> bool:
        """Say whether the file is still the one that this thread has open, and was not deleted or replaced."""
        found = self._inode()
        return found is not None and self._mine().inode in (None, found)

    def check_there(self) -> None:
        """See that the file is still the one that this thread has open.

        Raises:
            Unavailable: it is not; what is written to it would be lost.
        """
        if not self.is_there():
            raise Unavailable(
                f"{self.path} was deleted, moved or replaced while it was open: put the right file there, then open "
                "another pipeline"
            )

    def _inode(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def close(self) -> None:
        """Close every thread's connections, each when what runs on it is done."""
        with LOCK:
            self._closed = True
            every = list(self._all)
        for connections in every:
            connections.close()

    def _open(self, durable: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            refuse_others(connection, self.path)
            _use_write_ahead_log(connection)
            connection.executescript(_PRAGMAS + f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'};")
            ensure_schema(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Say what SQLite fails with in words for people.

        Raises:
            Unreachable: another program holds the file for too long.
            Unavailable: anything else.
        """
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                held = f"another program has held it for {BUSY_S:.0f} s: end that, or wait"
                raise Unreachable(f"the database {self.path} cannot be used: {held}") from error
            raise Unavailable(f"the database {self.path} cannot be used: {self._words_for(code, error)}") from error

    def _words_for(self, code: int, error: sqlite3.Error) -> str:
        if code == sqlite3.SQLITE_FULL:
            return "its disk is full: make room, then start again; what was being written was not"
        if code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return str(error)
        folder = self.path.parent
        if self.path.is_dir():
            return "it is a folder"
        if not folder.is_dir():
            return f"there is no folder {folder}"
        return f"it and its folder {folder} must be writable for this user, for readers too"


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL mode, which SQLite refuses at once, not after its time-out, while others open the file."""
    deadline_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(LOOK_AGAIN_S)
        else:
            return
