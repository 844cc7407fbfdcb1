"""An open file of a source: its records from a position on, and the position after them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files.beginnings import check_beginning, check_first_line, skip_mark
from realtime_pipeline.infrastructure.files.formats import FileFormat, LineFormat, Read
from realtime_pipeline.infrastructure.files.identity import FilePosition, with_tail
from realtime_pipeline.infrastructure.files.lines import CHUNK_BYTES, lines_of
from realtime_pipeline.infrastructure.files.parquet import parquet_rows
from realtime_pipeline.infrastructure.files.streams import (
    READ_ERRORS,
    Stream,
    opened,
    unreadable,
)

BATCH_BYTES_MAX: Final = 8 << 20


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
        self._descriptor: int | None = None  # of a plain file
        self._chunks: Iterator[Iterator[Read]] = iter(())
        self._chunk: Iterator[Read] = iter(())
        self._lines = LineFormat(name, format_, position.header, with_digests)
        try:
            if format_.name == "parquet":
                self._chunks = iter((parquet_rows(name, position.offset),))
            else:
                stream = self._resources.enter_context(opened(name))
                self._chunks = self._read_lines(stream)
                if isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO) and stream.seekable():
                    self._descriptor = stream.fileno()
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
        if self._descriptor is not None:
            self.position = with_tail(self.position, self._descriptor)
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
