"""Files that are there whole, or not at all."""

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
"""What the name of a file ends with that is not complete. Whoever is killed leaves it, for somebody to delete."""


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """Write a file that has its name only once the block has ended without an error.

    Until then it lies beside, under a name of its own. An error and SIGTERM remove that.

    Raises:
        Unavailable: there is a file of that name already, or somebody else has made it meanwhile.
        OSError: it cannot be written.
    """
    check_free(file)
    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}{PART}")
    with _ended_by_sigterm():
        try:
            with _opened(part, file) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            name_part(part, file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise, so that what is half done is removed; only the main thread can be told of signals."""
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


def _opened(part: Path, file: Path) -> BinaryIO:
    try:
        return part.open("xb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None


def check_free(file: Path) -> None:
    """See that there is no file of that name.

    Raises:
        Unavailable: there is.
    """
    if file.exists() or file.is_symlink():
        raise Unavailable(f"{file} exists already: name another file, or remove it first")


def name_part(part: Path, file: Path) -> None:
    """Give a file that is complete its name, unless somebody else has taken that meanwhile.

    Raises:
        Unavailable: somebody has.
        OSError: it cannot be done.
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
