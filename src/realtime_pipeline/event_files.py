"""Files of events, one JSON a line, as what is to be published."""

import gzip
import io
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.publish_events import Submission

STANDARD_INPUT = "-"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What files begin with that these have packed."""
CHUNK_BYTES = 1 << 19
LINE_BYTES_MAX = 900_000
"""A longer line comes in pieces, which end up as dead letters: no file may fill the memory, nor a Kafka record."""


def check_there(names: Sequence[str]) -> None:
    """See that all files can be read, before anything of the first is published.

    Raises:
        Unavailable: one cannot.
    """
    for name in names:
        if name != STANDARD_INPUT and not Path(name).is_fifo():  # whoever writes into it would take us for gone
            try:
                Path(name).open("rb").close()
            except OSError as error:
                raise _unreadable(name, error) from None


def batches(name: str) -> Iterator[list[Submission]]:
    """Read a file's lines as they come, so that what a pipe has brought is published and not waited over.

    What gzip has packed is unpacked, whatever it is called; a mark at the beginning that says UTF-8 is passed over.

    Raises:
        Unavailable: it cannot be read, or not to its end.
    """
    try:
        with _opened(name) as stream:
            number, begun = 1, b""
            if stream.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
                stream.read(len(BOM_UTF8))
            while chunk := stream.read1(CHUNK_BYTES):
                *whole, begun = (begun + chunk).split(b"\n")
                *cut, begun = _pieces(begun)
                numbered = [(number + at, piece) for at, line in enumerate(whole) for piece in _pieces(line)]
                number += len(whole)
                yield _submissions(name, [*numbered, *((number, piece) for piece in cut)])
            yield _submissions(name, [(number, begun)])
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(name, error) from error


@contextmanager
def _opened(name: str) -> Iterator["io.BufferedReader[io.FileIO] | gzip.GzipFile"]:
    if name == STANDARD_INPUT and sys.stdin is None:
        raise Unavailable("there is no standard input here: name a file")
    raw = io.FileIO(sys.stdin.fileno() if name == STANDARD_INPUT else name, closefd=name != STANDARD_INPUT)
    with io.BufferedReader(raw) as stream:
        begin = stream.peek(len(_ZSTD))
        if begin.startswith(_ZSTD):
            raise Unavailable(f"{ascii(name)[1:-1]} is packed by zstd: unpack it first (zstd -dc FILE | … publish -)")
        if begin.startswith(_GZIP) or name.endswith(".gz"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            yield stream


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)] or [line]


def _submissions(name: str, numbered: Sequence[tuple[int, bytes]]) -> list[Submission]:
    file = Path(name).name.encode(errors="replace").decode()  # names of files are bytes, of any kind
    return [Submission(line.rstrip(b"\r"), f"{file}:{number}") for number, line in numbered if line.strip()]


def _unreadable(name: str, error: OSError | EOFError | zlib.error) -> Unavailable:
    return Unavailable(f"{ascii(name)[1:-1]} cannot be read: {getattr(error, 'strerror', None) or error}")
