"""An open file of a source: its records from a position on, and the position after them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from realtime_pipeline.application.errors import NewerRelease, UnrecoverableState
from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files.beginnings import check_beginning, check_first_line, skip_mark
from realtime_pipeline.infrastructure.files.formats import FileFormat, LineFormat, Read
from realtime_pipeline.infrastructure.files.lines import CHUNK_BYTES, lines_of
from realtime_pipeline.infrastructure.files.parquet import parquet_rows
from realtime_pipeline.infrastructure.files.streams import (
    READ_ERRORS,
    Stream,
    opened,
    unreadable,
)

HEAD_BYTES: Final = 1_024
BATCH_BYTES_MAX: Final = 8 << 20
_FORMAT: Final = 1
_encode: Final = msgspec.json.Encoder().encode


class FilePosition(msgspec.Struct, frozen=True):
    """How far a file was read: the offset in decompressed bytes (of Parquet: rows), and the number of the line there.

    `head` is a digest of the file's first `head_bytes`, by which another file of the same name is told; `inode` finds
    the file under another name. `header` has the columns of a CSV file.
    """

    format: int = _FORMAT
    offset: int = 0
    line: int = 1
    head: str = ""
    head_bytes: int = 0
    inode: int = 0
    header: tuple[str, ...] = ()

    def encoded(self) -> str:
        """The position as text."""
        return _encode(self).decode()


def decode_position(part: str, text: str) -> FilePosition:
    """Decode a position.

    Raises:
        UnrecoverableState: a newer release wrote it, or none did.
    """
    try:
        position = msgspec.json.decode(text, type=FilePosition)
    except msgspec.MsgspecError as error:
        raise UnrecoverableState(f"the position of {part} is damaged ({error})") from None
    if position.format > _FORMAT:
        raise NewerRelease(f"a newer release wrote the position of {part}: upgrade this program")
    return position


def head_of(path: Path, size: int) -> str:
    """A digest of a file's first bytes."""
    with path.open("rb") as file:
        return blake2b(file.read(min(size, HEAD_BYTES)), digest_size=8).hexdigest()


class OpenFile:
    """Reads the records of a file from a position on.

    Args:
        name: the path, or "-" for standard input.
        format_: how it is read.
        position: where to begin.
        is_final: whether the last line is whole although no line end follows it.
        with_digests: whether the ids of records have a digest of their content.

    Raises:
        Unavailable: the file cannot be read; also by `read`.
        InvalidEvents: the file is of another format; also by `read`.
    """

    def __init__(
        self, name: str, format_: FileFormat, position: FilePosition, is_final: bool, with_digests: bool = True
    ) -> None:
        self.position = position
        self._name = name
        self._resources = ExitStack()
        self._format = format_
        self._is_final = is_final
        self._chunks: Iterator[Iterator[Read]] = iter(())
        self._chunk: Iterator[Read] = iter(())
        self._lines = LineFormat(name, format_, position.header, with_digests)
        try:
            if format_.name == "parquet":
                self._chunks = iter((parquet_rows(name, position.offset),))
            else:
                self._chunks = self._read_lines(self._resources.enter_context(opened(name)))
        except BaseException:
            self.close()
            raise

    def read(self, records_max: int) -> Sequence[SourceRecord]:
        """Read the next records, up to some megabytes; none at the end."""
        records, size = list[SourceRecord](), 0
        offset, line = self.position.offset, self.position.line
        try:
            while not records:  # what a pipe has is returned before it is waited for
                for record, end, next_line in self._chunk:
                    offset, line = end, next_line
                    if record is not None:
                        records.append(record)
                        size += len(value) if isinstance(value := record.value, bytes) else _size_of(record)
                        if len(records) >= records_max or size >= BATCH_BYTES_MAX:
                            break
                if not records:
                    chunk = next(self._chunks, None)
                    if chunk is None:
                        break
                    self._chunk = chunk
        except READ_ERRORS as error:
            raise unreadable(self._name, error) from error
        header = self._lines.header if self._format.name == "csv" else ()
        self.position = msgspec.structs.replace(self.position, offset=offset, line=line, header=header)
        return records

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    def _read_lines(self, stream: Stream) -> Iterator[Iterator[Read]]:
        offset, number = self.position.offset, self.position.line
        if offset == 0:
            offset = skip_mark(stream)
            check_beginning(self._name, stream.peek(1), self._format.name)
        else:
            _skip(stream, offset)
        is_first = number == 1
        for lines in lines_of(stream, offset, number, self._is_final):
            if is_first and self._format.name == "jsonl":
                first = next((value for _, value, _, _ in lines if value.strip()), None)
                is_first = first is None
                if first is not None:
                    check_first_line(self._name, first)
            yield self._lines.records(lines)
        if self._is_final:
            yield self._lines.end()


def _skip(stream: Stream, offset: int) -> None:
    if stream.seekable():
        stream.seek(offset)
        return
    while offset and (chunk := stream.read(min(offset, CHUNK_BYTES))):
        offset -= len(chunk)


def _size_of(record: SourceRecord) -> int:
    value = record.value
    if isinstance(value, bytes):
        return len(value)
    return len(value.raw) if isinstance(value, Unreadable) else 64 * len(value)
