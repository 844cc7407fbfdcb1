"""Files of events, one JSON a line, as what is to be published."""

import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.publish_events import Submission

STANDARD_INPUT = "-"
CHUNK_BYTES = 1 << 19
LINE_BYTES_MAX = 900_000
"""A longer line comes in pieces, which end up as dead letters: no file may fill the memory, nor a Kafka record."""


def check_there(names: Sequence[str]) -> None:
    """See that all files can be read, before anything of the first is published.

    Raises:
        Unavailable: one cannot.
    """
    for name in names:
        if name != STANDARD_INPUT:
            try:
                Path(name).open("rb").close()
            except OSError as error:
                raise _unreadable(name, error) from None


def batches(name: str) -> Iterator[list[Submission]]:
    """Read a file's lines as they come, so that what a pipe has brought is published and not waited over.

    A file called `.gz` is unpacked.

    Raises:
        Unavailable: it cannot be read, or not to its end.
    """
    try:
        with _opened(name) as stream:
            number, begun = 0, b""
            while chunk := stream.read1(CHUNK_BYTES):
                *whole, begun = (begun + chunk).split(b"\n")
                *cut, begun = _pieces(begun)
                pieces = [piece for line in whole for piece in _pieces(line)] + cut
                yield _submissions(name, number, pieces)
                number += len(pieces)
            yield _submissions(name, number, [begun])
    except (OSError, EOFError) as error:
        raise _unreadable(name, error) from error


def _opened(name: str) -> io.BufferedReader | gzip.GzipFile:
    if name.endswith(".gz"):
        return gzip.open(name, "rb")
    return io.BufferedReader(io.FileIO(sys.stdin.fileno() if name == STANDARD_INPUT else name))


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)] or [line]


def _submissions(name: str, before: int, lines: Sequence[bytes]) -> list[Submission]:
    file = Path(name).name.encode(errors="replace").decode()  # names of files are bytes, of any kind
    numbered = enumerate(lines, start=before + 1)
    return [Submission(line.rstrip(b"\r"), f"{file}:{number}") for number, line in numbered if line.strip()]


def _unreadable(name: str, error: OSError | EOFError) -> Unavailable:
    return Unavailable(f"{ascii(name)[1:-1]} cannot be read: {getattr(error, 'strerror', None) or error}")
