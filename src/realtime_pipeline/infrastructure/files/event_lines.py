"""Reading files of events, one JSON object a line, as submissions to publish."""

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
"""The first bytes of files compressed by gzip and zstd."""
_ARRAY = re.compile(rb"\s*\[\s*(\{|\Z)")
CHUNK_BYTES = 1 << 19
LINE_BYTES_MAX = 900_000
"""A longer line is split into pieces, which become dead letters: it must neither fill the memory nor a Kafka record."""


def check_readable(names: Sequence[str]) -> None:
    """Check that all files can be read, before the first is published.

    Raises:
        Unavailable: a file cannot be read.
    """
    for name in names:
        if name != STANDARD_INPUT and not Path(name).is_fifo():  # closing a pipe here would end its writer
            try:
                Path(name).open("rb").close()
            except OSError as error:
                raise _unreadable(name, error) from None


def batches(name: str, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[list[Submission]]:
    """Read a file's lines in batches as they arrive, so that the lines of a pipe are published without delay.

    Lines longer than `line_bytes_max` are split into pieces. Files compressed by gzip are decompressed, whatever their
    names; a UTF-8 byte order mark is skipped.

    Raises:
        Unavailable: the file cannot be read, or not to its end.
        InvalidEvents: the file does not have one JSON object a line.
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
    """Yield the lines of each chunk, or pieces of them, with their line numbers.

    The chunks of a line are joined once, when the line ends or is long enough for a piece, so that the time is linear
    in the bytes even if the chunks are small.
    """
    number, unfinished, size = 1, list[bytes](), 0
    while chunk := stream.read1(CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*unfinished, whole[0]])
            unfinished, size = [], 0
        unfinished.append(rest)
        size += len(rest)
        numbered = [(number + at, piece) for at, line in enumerate(whole) for piece in _pieces(line, line_bytes_max)]
        number += len(whole)
        if size > line_bytes_max:
            *pieces, rest = _pieces(b"".join(unfinished), line_bytes_max)
            unfinished, size = [rest], len(rest)
            numbered += [(number, piece) for piece in pieces]
        yield numbered
    yield [(number, b"".join(unfinished))]


@contextmanager
def _opened(name: str) -> Iterator["io.BufferedReader[io.FileIO] | gzip.GzipFile"]:
    if name == STANDARD_INPUT and sys.stdin is None:
        raise Unavailable("there is no standard input here: name a file")
    raw = io.FileIO(sys.stdin.fileno() if name == STANDARD_INPUT else name, closefd=name != STANDARD_INPUT)
    with io.BufferedReader(raw) as stream:
        begin = stream.peek(len(_ZSTD))
        if begin.startswith(_ZSTD):
            raise Unavailable(f"{_display(name)} is packed by zstd: unpack it first (zstd -dc FILE | … publish -)")
        if begin.startswith(_GZIP) or name.endswith(".gz"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            yield stream


def _check_beginning(name: str, begin: bytes) -> None:
    """Check by its first bytes that a file is neither UTF-16 nor a JSON array.

    Raises:
        InvalidEvents: it is.
    """
    if begin.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or begin[:2] in (b"{\0", b"\0{"):
        raise InvalidEvents(f"{_display(name)} is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8 FILE | … publish -)")
    if _ARRAY.match(begin):
        raise InvalidEvents(
            f"{_display(name)} is a JSON array: write one event a line (jq -c '.[]' FILE | … publish -)"
        )


def _check_first_line(name: str, line: bytes) -> None:
    """Check that a file's first line is neither several JSON objects nor the beginning of a multi-line object.

    Raises:
        InvalidEvents: it is.
    """
    text = line.decode(errors="replace").strip()
    is_wrong = text == "{"
    try:
        document, end = JSONDecoder().raw_decode(text)
        is_wrong = isinstance(document, dict) and text[end:].lstrip().startswith("{")
    except (ValueError, RecursionError):
        pass  # not JSON: the event decoder will report what is wrong
    if is_wrong:
        raise InvalidEvents(f"{_display(name)} has not one JSON object a line: rewrite it (jq -c . FILE | … publish -)")


def _display(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else ascii(name)[1:-1]


def _pieces(line: bytes, bytes_max: int) -> list[bytes]:
    return [line[at : at + bytes_max] for at in range(0, len(line), bytes_max)] or [line]


def _submissions(name: str, numbered: Sequence[tuple[int, bytes]]) -> list[Submission]:
    file = Path(name).name.encode(errors="replace").decode()  # names of files may be any bytes
    return [Submission(line.rstrip(b"\r"), f"{file}:{number}") for number, line in numbered if line.strip()]


def _unreadable(name: str, error: OSError | EOFError | zlib.error) -> Unavailable:
    return Unavailable(f"{_display(name)} cannot be read: {getattr(error, 'strerror', None) or error}")
