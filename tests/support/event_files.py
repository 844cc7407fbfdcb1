"""Reading files of events in tests."""

import os
import time
from pathlib import Path

from realtime_pipeline.application.errors import PipelineError
from realtime_pipeline.application.ports.source import Positions, Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.source import FileSource

CSV, JSONL = FileFormat("csv"), FileFormat()


def read_all(source: Source, positions: Positions | None = None, records_max: int = 2_000) -> list[SourceRecord]:
    records = list[SourceRecord]()
    try:
        source.open(positions or {})
        while (batch := source.read(records_max, 0.0)) is not None:
            records += batch.records
    except PipelineError:
        source.close()
        raise
    return records


def records_of(path: Path, format_: FileFormat = JSONL, records_max: int = 2_000) -> list[SourceRecord]:
    return read_all(FileSource("test", [path], format_), records_max=records_max)


def shown(records: list[SourceRecord]) -> list[tuple[object, str]]:
    """The values and origins of records; of unreadable ones the reason's code."""
    return [
        (
            found.value.reason.partition(":")[0] if isinstance(found.value, Unreadable) else found.value,
            found.origin,
        )
        for found in records
    ]


def age(path: Path, seconds: float = 60) -> None:
    """Make a file look as if it had not changed for some time."""
    at_s = time.time() - seconds
    os.utime(path, (at_s, at_s))


def all_of(source: Source, positions: dict[str, str]) -> list[str]:
    """The origins of all records that come within a moment; the positions go on."""
    source.open(positions)
    origins = list[str]()
    while (batch := source.read(100, 0.3)) is not None:
        origins += [record.origin for record in batch.records]
        positions |= batch.positions
    source.close()
    return origins
