"""One SQLite file, opened once by every thread that uses it."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.infrastructure.sqlite.schema import check_version, ensure_schema, refuse_others

BUSY_S = 30.0
LOOK_AGAIN_S = 0.005

_PRAGMAS = """
PRAGMA wal_autocheckpoint = 8000;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
"""


class _ThreadsConnections:
    """The connections of one thread, by whether they are durable; closed with the thread that let go of them.

    `number` is no other thread's, not even of one that came after. `in_use` is held while a statement runs: a
    connection that is closed meanwhile takes the process with it.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.in_use = threading.RLock()
        self.opened: dict[bool, sqlite3.Connection] = {}

    def close(self) -> None:
        with self.in_use:
            while self.opened:
                self.opened.popitem()[1].close()

    def __del__(self) -> None:
        self.close()


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
        self._all: weakref.WeakSet[_ThreadsConnections] = weakref.WeakSet()
        self._numbers = count()
        self._lock = threading.Lock()
        self._closed = False

    def connection(self, durable: bool = False) -> sqlite3.Connection:
        """This thread's connection, opened at its first use, closed when the thread ends."""
        mine = self._mine()
        connection = mine.opened.get(durable)
        if connection is None:
            if self._closed:
                raise Unavailable(f"{self.path} was closed; open another pipeline on it")
            with self._translated():
                connection = mine.opened[durable] = self._open(durable)
        return connection

    @property
    def thread_number(self) -> int:
        """A number for the thread that asks, and for what it has open."""
        return self._mine().number

    def _mine(self) -> _ThreadsConnections:
        mine: _ThreadsConnections | None = getattr(self._local, "connections", None)
        if mine is None:
            mine = self._local.connections = _ThreadsConnections(next(self._numbers))
            with self._lock:
                self._all.add(mine)
        return mine

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Read rows."""
        with self._mine().in_use, self._translated():
            return self.connection().execute(sql, parameters).fetchall()

    def rows_until(self, is_last: Callable[[Any], bool], sql: str, parameters: Sequence[object]) -> list[Any]:
        """Read rows up to the first of which that is said."""
        found = []
        with self._mine().in_use, self._translated(), closing(self.connection().execute(sql, parameters)) as rows:
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
            with self._translated():
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
        opened: int | None = getattr(self._local, "inode", None)
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            return False
        if opened is None:
            self._local.inode = inode
        return opened in (None, inode)

    def close(self) -> None:
        """Close every thread's connections, each when what runs on it is done."""
        with self._lock:
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
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                held = f"another program has held it for {BUSY_S:.0f} s: end that, or wait"
                raise Unreachable(f"the database {self.path} cannot be used: {held}") from error
            said = self._why_not_opened() if code == sqlite3.SQLITE_CANTOPEN else error
            raise Unavailable(f"the database {self.path} cannot be used: {said}") from error

    def _why_not_opened(self) -> str:
        folder = self.path.parent
        if self.path.is_dir():
            return "it is a folder"
        if not folder.is_dir():
            return f"there is no folder {folder}"
        return f"it and its folder {folder} must be writable, for readers too"


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
