"""Lines of a stream, with their numbers and where they end, in time linear in the bytes."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from realtime_pipeline.infrastructure.files.streams import Stream

CHUNK_BYTES: Final = 1 << 19
LINE_BYTES_MAX: Final = 900_000
"""A longer line is split into pieces, which become dead letters: it must neither fill the memory nor a Kafka record."""


class Line(NamedTuple):
    """A line, or a piece of a long one: its number from 1, its bytes without the end, and where it ends: the offset
    after it, and the number of the line there."""

    number: int
    value: bytes
    end: int
    next_number: int


RawLine = tuple[int, bytes, int, int]
"""The parts of a `Line`, which costs more: most lines are taken apart at once."""


def lines_of(
    stream: Stream,
    offset: int = 0,
    number: int = 1,
    is_final: bool = True,
    line_bytes_max: int = LINE_BYTES_MAX,
) -> Iterator[list[RawLine]]:
    """Yield lines as they arrive, those of each chunk that is read together: none, where a line is longer than a chunk.

    The chunks of a line are joined once, when the line ends or is long enough for a piece, so that the time is linear
    in the bytes even if the chunks are small.

    Args:
        stream: is read on from where it is.
        offset: where it is, in decompressed bytes.
        number: the number of the next line.
        is_final: whether a last line without an end is whole; else it is left out.
        line_bytes_max: the bytes of a piece.
    """
    unfinished, size = list[bytes](), 0
    while True:
        chunk = stream.read1(CHUNK_BYTES)
        if not chunk:
            if size and is_final:
                yield [(number, b"".join(unfinished).rstrip(b"\r"), offset + size, number + 1)]
            return
        *whole, rest = chunk.split(b"\n")
        lines = list[RawLine]()
        if whole:
            whole[0] = b"".join([*unfinished, whole[0]])
            unfinished, size = [], 0
        for line in whole:
            *long, rest_of_line = (line,) if len(line) <= line_bytes_max else pieces(line, line_bytes_max)
            for piece in long:
                offset += len(piece)
                lines.append((number, piece, offset, number))
            offset += len(rest_of_line) + 1
            lines.append((number, rest_of_line.rstrip(b"\r"), offset, number + 1))
            number += 1
        unfinished.append(rest)
        size += len(rest)
        if size > line_bytes_max:
            *long, rest = pieces(b"".join(unfinished), line_bytes_max)
            for piece in long:
                offset += len(piece)
                lines.append((number, piece, offset, number))
            unfinished, size = [rest], len(rest)
        yield lines


def pieces(line: bytes, bytes_max: int) -> list[bytes]:
    """Split a long line into pieces of so many bytes."""
    if len(line) <= bytes_max:
        return [line]
    return [line[at : at + bytes_max] for at in range(0, len(line), bytes_max)]
