"""Files of events, one JSON a line, as what is to be published."""

import gzip
import io
import re
import sys
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecoder
from pathlib import Path

from realtime_pipeline.application.errors import InvalidEvents, Unavailable
from realtime_pipeline.application.ingestion.publish_events import Submission

STANDARD_INPUT = "-"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What files begin with that these have packed."""
_ARRAY = re.compile(rb"\s*\[\s*(\{|\Z)")
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


def batches(name: str, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[list[Submission]]:
    """Read a file's lines as they come, so that what a pipe has brought is published and not waited over. Longer lines
    than `line_bytes_max` come in pieces.

    What gzip has packed is unpacked, whatever it is called; a mark at the beginning that says UTF-8 is passed over.

    Raises:
        Unavailable: it cannot be read, or not to its end.
        InvalidEvents: it is written in another way than one JSON object a line.
    """
    try:
        with _opened(name) as stream:
            if stream.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
                stream.read(len(BOM_UTF8))
            _check_beginning(name, stream.peek(1))
            is_first = True
            for numbered in _numbered(stream, line_bytes_max):
                submissions = _submissions(name, numbered)
                if is_first and submissions:
                    _check_first_line(name, submissions[0].value)
                    is_first = False
                yield submissions
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(name, error) from error


def _numbered(
    stream: "io.BufferedReader[io.FileIO] | gzip.GzipFile", line_bytes_max: int
) -> Iterator[list[tuple[int, bytes]]]:
    """The lines of each chunk that comes, or pieces of them, with their numbers.

    A line's chunks are joined once, when it ends or is long enough for a piece, so that the time is linear in the
    bytes however small the chunks are.
    """
    number, begun, size = 1, list[bytes](), 0
    while chunk := stream.read1(CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
        numbered = [(number + at, piece) for at, line in enumerate(whole) for piece in _pieces(line, line_bytes_max)]
        number += len(whole)
        if size > line_bytes_max:
            *cut, rest = _pieces(b"".join(begun), line_bytes_max)
            begun, size = [rest], len(rest)
            numbered += [(number, piece) for piece in cut]
        yield numbered
    yield [(number, b"".join(begun))]


@contextmanager
def _opened(name: str) -> Iterator["io.BufferedReader[io.FileIO] | gzip.GzipFile"]:
    if name == STANDARD_INPUT and sys.stdin is None:
        raise Unavailable("there is no standard input here: name a file")
    raw = io.FileIO(sys.stdin.fileno() if name == STANDARD_INPUT else name, closefd=name != STANDARD_INPUT)
    with io.BufferedReader(raw) as stream:
        begin = stream.peek(len(_ZSTD))
        if begin.startswith(_ZSTD):
            raise Unavailable(f"{_shown(name)} is packed by zstd: unpack it first (zstd -dc FILE | … publish -)")
        if begin.startswith(_GZIP) or name.endswith(".gz"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            yield stream


def _check_beginning(name: str, begin: bytes) -> None:
    """See by its first bytes that a file is neither UTF-16 nor one array.

    Raises:
        InvalidEvents: it is.
    """
    if begin.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or begin[:2] in (b"{\0", b"\0{"):
        raise InvalidEvents(f"{_shown(name)} is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8 FILE | … publish -)")
    if _ARRAY.match(begin):
        raise InvalidEvents(f"{_shown(name)} is a JSON array: write one event a line (jq -c '.[]' FILE | … publish -)")


def _check_first_line(name: str, line: bytes) -> None:
    """See that a file's first line is not several JSON objects one after the other, nor a part of one.

    Raises:
        InvalidEvents: it is.
    """
    text = line.decode(errors="replace").strip()
    is_several = text == "{"
    try:
        document, end = JSONDecoder().raw_decode(text)
        is_several = isinstance(document, dict) and text[end:].lstrip().startswith("{")
    except (ValueError, RecursionError):
        pass  # no JSON at all: the decoder will say what is wrong
    if is_several:
        raise InvalidEvents(f"{_shown(name)} has not one JSON object a line: rewrite it (jq -c . FILE | … publish -)")


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else ascii(name)[1:-1]


def _pieces(line: bytes, bytes_max: int) -> list[bytes]:
    return [line[at : at + bytes_max] for at in range(0, len(line), bytes_max)] or [line]


def _submissions(name: str, numbered: Sequence[tuple[int, bytes]]) -> list[Submission]:
    file = Path(name).name.encode(errors="replace").decode()  # names of files are bytes, of any kind
    return [Submission(line.rstrip(b"\r"), f"{file}:{number}") for number, line in numbered if line.strip()]


def _unreadable(name: str, error: OSError | EOFError | zlib.error) -> Unavailable:
    return Unavailable(f"{_shown(name)} cannot be read: {getattr(error, 'strerror', None) or error}")
