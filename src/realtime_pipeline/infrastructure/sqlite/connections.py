"""Connections of one thread, and what becomes of them where the process is forked."""

import ctypes
import os
import sqlite3
import threading
import weakref
from itertools import count
from pathlib import Path

LOCK = threading.Lock()
"""Held while connections are added or listed, and while the process is forked."""

_numbers = count()
_every: "weakref.WeakSet[Connections]" = weakref.WeakSet()
_carried: set[Path] = set()


class Connections:
    """The connections of one thread to a file, by whether they are durable; closed with the thread.

    `inode` is the file's when it was opened, `seen_s` when it was last seen to be there (`time.monotonic`).
    `number` is no other thread's, and another one once the connections were closed for a fork. `in_use` is held while
    a statement runs: a connection that is closed meanwhile takes the process with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = next(_numbers)
        self.in_use = threading.RLock()
        self.opened: dict[bool, sqlite3.Connection] = {}
        self.inode: int | None = None
        self.seen_s = 0.0
        self._is_carried = False
        with LOCK:
            _every.add(self)

    def close(self) -> None:
        """Close them, when what runs on them is done."""
        if self._is_carried:  # by a fork: they are the parent's, and so is whoever uses them
            return
        with self.in_use:
            self._close()

    def _close(self) -> None:
        while self.opened:
            self.opened.popitem()[1].close()

    def close_for_fork(self) -> bool:
        """Close them, unless they are in use; where that is done, `in_use` is held until `after_fork`."""
        if not self.in_use.acquire(blocking=False):
            return False
        if any(connection.in_transaction for connection in self.opened.values()):
            self.in_use.release()
            return False
        self._close()
        self.number = next(_numbers)
        return True

    def carry(self) -> None:
        """Leave the parent's connections alone in a child: SQLite forbids to use them here, and to close them."""
        self._is_carried = True
        for connection in self.opened.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # so that not even the exit of Python closes it
        if self.opened:
            _carried.add(self.path.resolve())

    def __del__(self) -> None:
        self.close()


def is_carried(path: Path) -> bool:
    """Whether this process was forked while connections to a file were in use: SQLite's locks on it are wrong here."""
    return path.resolve() in _carried


class _Fork:
    """Closes what can be closed before a fork, so that parent and child each open their own connections."""

    def __init__(self) -> None:
        self._closed: list[Connections] = []
        self._in_use: list[Connections] = []

    def before(self) -> None:
        LOCK.acquire()
        for one in list(_every):
            (self._closed if one.close_for_fork() else self._in_use).append(one)

    def in_parent(self) -> None:
        for one in self._closed:
            one.in_use.release()
        self._closed, self._in_use = [], []
        LOCK.release()

    def in_child(self) -> None:
        for one in self._in_use:
            one.carry()
        self.in_parent()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.in_parent, after_in_child=_fork.in_child)
