"""Atomic writes: a file exists whole, or not at all."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO
from uuid import uuid4

from realtime_pipeline.application.errors import Unavailable

PART = ".part"
"""The suffix of an incomplete file. A process that is killed leaves it behind; a person must delete it."""


@contextmanager
def write_atomically(file: Path) -> Iterator[BinaryIO]:
    """Write a file that gets its name only when the block ends without an error.

    Until then the file has a temporary name in the same folder. An error or SIGTERM deletes it.

    Raises:
        Unavailable: a file of that name exists, or another process has made it meanwhile.
        OSError: the file cannot be written.
    """
    check_free(file)
    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}{PART}")
    with _exit_on_sigterm():
        try:
            with _open_new(part, file) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            name_part(part, file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise SystemExit, so that cleanup runs. Only the main thread can handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _open_new(part: Path, file: Path) -> BinaryIO:
    try:
        return part.open("xb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None


def check_free(file: Path) -> None:
    """Check that no file of that name exists.

    Raises:
        Unavailable: a file of that name exists.
    """
    if file.exists() or file.is_symlink():
        raise Unavailable(f"{file} exists already: name another file, or remove it first")


def name_part(part: Path, file: Path) -> None:
    """Give a complete file its final name; never replace another file.

    Raises:
        Unavailable: a file of that name exists.
        OSError: the file cannot be renamed.
    """
    try:
        os.link(part, file)
    except FileExistsError:
        check_free(file)
        raise
    except OSError:  # a file system without links
        check_free(file)
        part.rename(file)
    else:
        part.unlink()
