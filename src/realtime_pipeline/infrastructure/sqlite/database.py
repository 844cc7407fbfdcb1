"""One SQLite file, opened once by every thread that uses it."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

from realtime_pipeline.application.errors import Unavailable, Unreachable

SCHEMA_VERSION = 4
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


class Database:
    """Connections to one file in WAL mode: many readers beside one writer.

    Each thread has connections of its own. `durable` ones sync every commit to the disk; what the others write
    survives the death of the process at once, and that of the machine as soon as a durable commit or a checkpoint
    follows (order is kept, so what is lost is only the newest).
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()
        self._local = threading.local()
        self._all: weakref.WeakSet[_ThreadsConnections] = weakref.WeakSet()
        self._numbers = count()
        self._lock = threading.Lock()
        self._closed = False
        self._held_for_fork: list[_ThreadsConnections] = []
        _databases.add(self)

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

    def close_for_fork(self) -> None:
        """Close every thread's connections, each when what runs on it is done, and let none be opened before
        `go_on_after_fork`.

        SQLite keeps, for the whole process, which locks it holds on a file. A child that inherited that would take its
        parent's locks for its own.
        """
        self._lock.acquire()
        for connections in list(self._all):
            connections.in_use.acquire()
            self._held_for_fork.append(connections)
            connections.close()
            connections.number = next(self._numbers)  # what is opened next counts others' changes from 1 again

    def go_on_after_fork(self) -> None:
        """Let connections be opened again, in parent and child; here all locks are held by the thread that forked."""
        while self._held_for_fork:
            self._held_for_fork.pop().in_use.release()
        self._lock.release()

    def _open(self, durable: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if _has_tables(connection) and self._version(connection) == 0:  # in this order: ours come with a version
                raise Unavailable(f"{self.path} is another program's database; name another file")
            _use_write_ahead_log(connection)
            connection.executescript(_PRAGMAS + f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'};")
            self._ensure_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ensure_schema(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == 0:
            connection.execute("BEGIN EXCLUSIVE")
            try:
                if self._version(connection) == 0:  # nobody else was quicker
                    script = files(__package__).joinpath("schema.sql").read_text("utf-8")
                    for statement in _statements(script):
                        connection.execute(statement)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # where the disk is full, there is nothing left to take back
                    connection.execute("ROLLBACK")
                raise
        version = self._version(connection)
        if version != SCHEMA_VERSION:
            raise Unavailable(
                f"{self.path} was made by another version (schema {version}, this is {SCHEMA_VERSION}); use a new file"
            )

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version

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


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


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


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements, since `executescript` would end the transaction it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _close_for_fork() -> None:
    _forking.extend(_databases)
    for database in _forking:
        database.close_for_fork()


def _go_on_after_fork() -> None:
    while _forking:
        _forking.pop().go_on_after_fork()


_forking: list[Database] = []
os.register_at_fork(before=_close_for_fork, after_in_parent=_go_on_after_fork, after_in_child=_go_on_after_fork)
