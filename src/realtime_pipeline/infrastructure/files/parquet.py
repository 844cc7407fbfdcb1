"""Reading the rows of Parquet files."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files.formats import Read
from realtime_pipeline.infrastructure.files.streams import STANDARD_INPUT, display_name, origin_name, unreadable

BATCH_ROWS = 2_000
RAW_LENGTH_MAX = 10_000
_UNREADABLE = (ValueError, OverflowError)  # a time with nanoseconds, or of the year 10000; text that is not UTF-8


def parquet_rows(name: str, begin: int) -> Iterator[Read]:
    """Read the rows of a file from a number on, with 1 for the first; after a row the offset is its number.

    Raises:
        Unavailable: it cannot be read, or the package for it is missing.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise Unavailable(
            f"{display_name(name)} is read with another package: pip install 'realtime-pipeline[parquet]'"
        ) from None
    if name == STANDARD_INPUT:
        raise Unavailable("Parquet cannot be read from standard input, since it is read from its end: name a file")
    origin = origin_name(name)
    number = 0
    try:
        with pq.ParquetFile(name) as file:
            for group in range(file.num_row_groups):
                rows_in_group = file.metadata.row_group(group).num_rows
                if number + rows_in_group < begin:
                    number += rows_in_group
                    continue
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group]):
                    for row in _rows(batch):
                        number += 1
                        if number > begin:
                            yield _record(row, origin, number), number, number + 1
    except (pa.ArrowException, OSError) as error:
        raise unreadable(name, error) from None


def _rows(batch: Any) -> Iterator[dict[str, Any] | Unreadable]:
    """The rows of a batch; where Python cannot hold a value, row by row, so that the others can be read."""
    try:
        yield from batch.to_pylist()
    except _UNREADABLE:
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except _UNREADABLE as error:
                yield Unreadable(f"invalid_row: {error}"[:200], str(batch.slice(index, 1))[:RAW_LENGTH_MAX].encode())


def _record(row: dict[str, Any] | Unreadable, origin: str, number: int) -> SourceRecord:
    if isinstance(row, Unreadable):
        return SourceRecord(f"{origin}:{number}", row, f"{origin}:{number}")
    digest = blake2b(repr(row).encode(errors="replace"), digest_size=8).hexdigest()
    value = {name: field for name, field in row.items() if field is not None}
    return SourceRecord(f"{origin}:{number}:{digest}", value, f"{origin}:{number}")
