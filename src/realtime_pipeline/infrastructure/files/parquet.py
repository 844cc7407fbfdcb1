"""Reading the rows of Parquet files."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.infrastructure.files.formats import Read
from realtime_pipeline.infrastructure.files.streams import STANDARD_INPUT, display_name, origin_name, unreadable

BATCH_ROWS = 2_000


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
                    for row in batch.to_pylist():
                        number += 1
                        if number > begin:
                            yield _record(row, origin, number), number, number + 1
    except (pa.ArrowException, OSError) as error:
        raise unreadable(name, error) from None


def _record(row: dict[str, Any], origin: str, number: int) -> SourceRecord:
    digest = blake2b(repr(row).encode(errors="replace"), digest_size=8).hexdigest()
    value = {name: field for name, field in row.items() if field is not None}
    return SourceRecord(f"{origin}:{number}:{digest}", value, f"{origin}:{number}")
