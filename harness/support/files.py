"""Opens compressed files, and sorts source records of any number by event time."""

import gzip
import heapq
import io
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final

import msgspec
import zstandard

from harness.support.errors import HarnessError
from harness.support.source_record import SourceRecord

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS: Final = (".gz", ".zst")
"""The suffixes of compressed files."""

_CHUNK_BYTES: Final = 128 * 1024
_BLOCK_RECORDS: Final = 500

_TimedRecord = tuple[int, SourceRecord]
_Spilled = tuple[int, int | None, bytes, str]

_time = itemgetter(0)
_rows_of = msgspec.msgpack.Decoder(list[_Spilled]).decode


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain, .gz or .zst file for reading its decompressed bytes.

    Raises:
        HarnessError: the file cannot be read or decompressed; also raised for errors while reading.
    """
    try:
        with path.open("rb") as file:
            yield _decompressed(path, file)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HarnessError(f"{path}: cannot be read: {reason}") from error


def display_name(path: Path) -> str:
    """A file's name as valid text, also where the file system's name is not valid UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def in_event_time_order(records: Iterable[SourceRecord], run_records: int = 500_000) -> Iterator[SourceRecord]:
    """Sort records by event time; records of equal time stay in the order of the files.

    A record without a time stays behind its predecessor in the file; at the start of a file it has the time 0.

    Args:
        records: the records of all files, in the order of the files.
        run_records: how many records are in memory at once; longer inputs are sorted in runs on disk.
    """
    if run_records < 1:
        raise ValueError(f"run_records is {run_records}, should be 1 or more")
    timed = _timed(records)
    run = sorted(islice(timed, run_records), key=_time)
    if len(run) < run_records:
        yield from (record for _, record in run)
        return
    with _disk_errors():
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the next statement
    with file:
        runs: list[Iterator[_TimedRecord]] = []
        while run:
            runs.append(_spill(file, run))
            run.clear()  # before the next run is read, so that only one run is in memory
            run = sorted(islice(timed, run_records), key=_time)
        # merge keeps equal times in the order of the runs, so the whole sort is stable
        yield from (record for _, record in heapq.merge(*runs, key=_time))


def _decompressed(path: Path, file: BinaryIO) -> BinaryIO:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=file), _CHUNK_BYTES)
    if path.suffix == ".zst":
        return io.BufferedReader(_Chunks(_zstd_chunks(file)), _CHUNK_BYTES)
    return file


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Decompress frame after frame. zstandard's own reader does not notice that a file was cut off."""
    frame = None
    rest = b""
    while chunk := rest or file.read(_CHUNK_BYTES):
        frame = frame or zstandard.ZstdDecompressor().decompressobj()
        yield frame.decompress(chunk)
        rest = frame.unused_data
        if frame.eof:
            frame = None
    if frame is not None:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")


class _Chunks(io.RawIOBase):
    """A stream of the bytes of all chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        target = memoryview(buffer)
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _timed(records: Iterable[SourceRecord]) -> Iterator[_TimedRecord]:
    time = 0
    before: SourceRecord | None = None
    for record in records:
        if record.occurred_at_ms is not None:
            time = record.occurred_at_ms
        elif before is None or not _is_same_file(before, record):
            time = 0
        before = record
        yield time, record


def _is_same_file(before: SourceRecord, record: SourceRecord) -> bool:
    """Whether both records are of one file. Of two files with one name, the second starts at a low number again."""
    file, _, number = record.origin.rpartition(":")
    file_before, _, number_before = before.origin.rpartition(":")
    return file == file_before and int(number) > int(number_before)


def _spill(file: IO[bytes], run: list[_TimedRecord]) -> Iterator[_TimedRecord]:
    """Append a run to the file, and return an iterator that reads it back block by block.

    All runs share one file, so that the limit of open files does not limit their number.
    """
    blocks: list[tuple[int, int]] = []
    with _disk_errors():
        file.seek(0, os.SEEK_END)
        for start in range(0, len(run), _BLOCK_RECORDS):
            block = run[start : start + _BLOCK_RECORDS]
            rows = [(time, record.occurred_at_ms, record.value, record.origin) for time, record in block]
            blocks.append((file.tell(), file.write(msgspec.msgpack.encode(rows))))
        file.flush()
    return _read_back(file, blocks)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HarnessError(f"{tempfile.gettempdir()}: cannot hold the records to sort: {error.strerror}") from error


def _read_back(file: IO[bytes], blocks: list[tuple[int, int]]) -> Iterator[_TimedRecord]:
    for offset, size in blocks:
        file.seek(offset)
        for time, occurred_at_ms, value, origin in _rows_of(file.read(size)):
            yield time, SourceRecord(occurred_at_ms, value, origin)
