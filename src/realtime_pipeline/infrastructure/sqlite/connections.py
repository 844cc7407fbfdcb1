"""The SQLite connections of each thread, and how they survive a fork of the process."""

import ctypes
import os
import sqlite3
import threading
import weakref
from itertools import count
from pathlib import Path

LOCK = threading.Lock()
"""Held while connections are added or listed, and during a fork."""

_numbers = count()
_all_connections: "weakref.WeakSet[Connections]" = weakref.WeakSet()
_inherited: set[Path] = set()


class Connections:
    """The connections of one thread to a file, by whether they are durable; closed when the thread ends.

    `inode` is that of the file when it was opened; `checked_s` is when the file was last found unchanged
    (`time.monotonic`). `number` is unique among threads, and changes when the connections are closed for a fork.
    `lock` is held while a statement runs: closing a connection meanwhile would crash the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = next(_numbers)
        self.lock = threading.RLock()
        self.opened: dict[bool, sqlite3.Connection] = {}
        self.inode: int | None = None
        self.checked_s = 0.0
        self._is_inherited = False
        with LOCK:
            _all_connections.add(self)

    def close(self) -> None:
        """Close the connections, once the running statement has ended."""
        if self._is_inherited:  # by a fork: the connections and the lock's holder are the parent's
            return
        with self.lock:
            self._close()

    def _close(self) -> None:
        while self.opened:
            self.opened.popitem()[1].close()

    def close_for_fork(self) -> bool:
        """Close the connections unless they are in use; return whether they were closed. `lock` is then held on."""
        if not self.lock.acquire(blocking=False):
            return False
        if any(connection.in_transaction for connection in self.opened.values()):
            self.lock.release()
            return False
        self._close()
        self.number = next(_numbers)
        return True

    def mark_inherited(self) -> None:
        """In a child process, never use or close the parent's connections: SQLite forbids both."""
        self._is_inherited = True
        for connection in self.opened.values():
            ctypes.pythonapi.Py_IncRef(
                ctypes.py_object(connection)
            )  # so that not even the interpreter's exit closes it
        if self.opened:
            _inherited.add(self.path.resolve())

    def __del__(self) -> None:
        self.close()


def is_inherited(path: Path) -> bool:
    """Return whether connections to a file were in use when this process was forked: its locks would be wrong here."""
    return path.resolve() in _inherited


class _Fork:
    """Closes idle connections before a fork, so that parent and child each open their own."""

    def __init__(self) -> None:
        self._closed: list[Connections] = []
        self._in_use: list[Connections] = []

    def before(self) -> None:
        LOCK.acquire()
        for connections in list(_all_connections):
            (self._closed if connections.close_for_fork() else self._in_use).append(connections)

    def in_parent(self) -> None:
        for connections in self._closed:
            connections.lock.release()
        self._closed, self._in_use = [], []
        LOCK.release()

    def in_child(self) -> None:
        for connections in self._in_use:
            connections.mark_inherited()
        self.in_parent()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.in_parent, after_in_child=_fork.in_child)
