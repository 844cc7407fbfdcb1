"""One SQLite file in WAL mode; each thread opens its own connections."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.infrastructure.sqlite.connections import LOCK, Connections, is_inherited
from realtime_pipeline.infrastructure.sqlite.schema import check_ownership, check_version, migrate

BUSY_TIMEOUT_S = 30.0
"""The busy timeout: how long a statement waits for another connection's lock."""
RETRY_INTERVAL_S = 0.005
FILE_CHECK_INTERVAL_S = 1.0
"""How often a thread checks that the file it has open is still the one at the path."""

_PRAGMAS = """
PRAGMA wal_autocheckpoint = 8000;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
"""


def expand_user(path: Path) -> Path:
    """Return the path with `~` or `~user` replaced by the user's home directory.

    Raises:
        Unavailable: the machine does not know the user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise Unavailable(f"{path}: this machine knows no such user, or no home of theirs; name a file") from None


class Database:
    """Connections to one file in WAL mode: one writer at a time, and readers that never wait for it.

    Each thread has its own connections. A `durable` connection syncs every commit to the disk. A commit of the others
    survives a crash of the process at once, and a crash of the machine once a durable commit or a checkpoint follows:
    the order of commits is kept, so only the newest can be lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = expand_user(path)
        self._local = threading.local()
        self._all: weakref.WeakSet[Connections] = weakref.WeakSet()
        self._closed = False

    def connection(self, durable: bool = False) -> sqlite3.Connection:
        """Return this thread's connection; it is opened at its first use and closed when the thread ends."""
        own = self._own()
        connection = own.opened.get(durable)
        if connection is None:
            connection = self._open(own, durable)
        elif time.monotonic() - own.checked_s >= FILE_CHECK_INTERVAL_S:
            self.check_same_file()
            own.checked_s = time.monotonic()
        return connection

    def begin_read(self) -> tuple[Connections, sqlite3.Connection]:
        """Open a separate connection in a read transaction: it sees the file as it is now until it is closed.

        Nobody waits for it, but no checkpoint can reset the WAL while it is open.

        Returns:
            The connections to close at the end, whose `lock` must be held while the connection is used; and the
            connection.
        """
        separate = Connections(self.path)
        with LOCK:
            self._all.add(separate)
        with separate.lock, self.translate_errors():
            connection = self._open(separate, durable=False)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM meta").fetchone()
        return separate, connection

    def _open(self, connections: Connections, durable: bool) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"{self.path} was closed; open another pipeline on it")
        if is_inherited(self.path):
            raise Unavailable(
                f"{self.path} was in use when this process was forked, and cannot be opened here: fork before a "
                "pipeline is used, or start a new process"
            )
        with self.translate_errors():
            opened = connections.opened[durable] = self._connect(durable)
        if connections.inode is None:
            connections.inode, connections.checked_s = self._inode(), time.monotonic()
        return opened

    @property
    def connections_number(self) -> int:
        """The number of the calling thread's connections; it changes when they are closed for a fork."""
        return self._own().number

    def _own(self) -> Connections:
        own: Connections | None = getattr(self._local, "connections", None)
        if own is None:
            own = self._local.connections = Connections(self.path)
            with LOCK:
                self._all.add(own)
        return own

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Run a query and return all its rows."""
        with self._own().lock, self.translate_errors():
            return self.connection().execute(sql, parameters).fetchall()

    def rows_until(self, is_last: Callable[[Any], bool], sql: str, parameters: Sequence[object]) -> list[Any]:
        """Run a query and return its rows up to the first for which `is_last` is true, that row included."""
        found = []
        with self._own().lock, self.translate_errors(), closing(self.connection().execute(sql, parameters)) as rows:
            for row in rows:
                found.append(row)
                if is_last(row):
                    break
        return found

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run the block in one write transaction; nested in a transaction of the same connection, become part of it."""
        with self._own().lock:
            connection = self.connection(durable)
            if connection.in_transaction:
                yield connection
                return
            with self.translate_errors():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    check_version(connection, self.path)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise

    def is_same_file(self) -> bool:
        """Return whether the file at the path is still the one that this thread has open."""
        found = self._inode()
        return found is not None and self._own().inode in (None, found)

    def check_same_file(self) -> None:
        """Check that the file at the path is still the one that this thread has open.

        Raises:
            Unavailable: it is not; what is written to it would be lost.
        """
        if not self.is_same_file():
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
        """Close every thread's connections, each once its running statement has ended."""
        with LOCK:
            self._closed = True
            opened = list(self._all)
        for connections in opened:
            connections.close()

    def _connect(self, durable: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            check_ownership(connection, self.path)
            _enable_wal(connection)
            connection.executescript(_PRAGMAS + f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'};")
            migrate(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Translate the errors of SQLite into the pipeline's own, with what to do.

        Raises:
            Unreachable: another program held its lock for longer than the busy timeout.
            Unavailable: anything else.
        """
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                reason = f"another program has held it for {BUSY_TIMEOUT_S:.0f} s: end that, or wait"
                raise Unreachable(f"the database {self.path} cannot be used: {reason}") from error
            raise Unavailable(f"the database {self.path} cannot be used: {self._explain(code, error)}") from error

    def _explain(self, code: int, error: sqlite3.Error) -> str:
        if code == sqlite3.SQLITE_FULL:
            return "its disk is full: make room, then start again; the last transaction was not written"
        if code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return str(error)
        folder = self.path.parent
        if self.path.is_dir():
            return "it is a folder"
        if not folder.is_dir():
            return f"there is no folder {folder}"
        return f"it and its folder {folder} must be writable for this user, for readers too"


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL mode; retry, since SQLite ignores the busy timeout here while others open the file."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(RETRY_INTERVAL_S)
        else:
            return
