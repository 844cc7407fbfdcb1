"""Pipelines on a SQLite file with retention of the log, and what the file holds."""

import zlib
from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.infrastructure.sqlite import retention, snapshots
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings
from tests.support.histories import SetClock, embedded, opened

DAY_MS = 86_400_000


ONE_PARTITION = Settings(partitions=1)


def retaining(folder: Path, settings: Settings = ONE_PARTITION, **limits: int) -> Pipeline:
    return opened(
        attrs.evolve(embedded("sqlite", folder, settings), log_retention=LogRetentionSettings(**limits)), SetClock()
    )


def copy_row_by_row(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int = 1) -> None:
    """Copy one row of a snapshot after each round, however long the round takes."""
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(retention, "COPY_TIME_DIVISOR", 10**12)


def bounds(pipeline: Pipeline) -> tuple[int, int]:
    return pipeline.container.log().bounds([0])[0]


def query(pipeline: Pipeline, sql: str) -> list[tuple[int, ...]]:
    return pipeline.container.database().rows(sql)


def publish_records(pipeline: Pipeline, counts: dict[int, int]) -> None:
    pipeline.container.publisher().publish(
        [Outgoing(b"k", b"x" * 99, partition=partition) for partition, count in counts.items() for _ in range(count)]
    )


def chunk_count(pipeline: Pipeline) -> int:
    return query(pipeline, "SELECT count(*) FROM snapshot_chunks")[0][0]


def chunks_of(pipeline: Pipeline) -> list[bytes]:
    packed = pipeline.container.database().rows("SELECT rows FROM snapshot_chunks")
    return [zlib.decompress(chunk) for (chunk,) in packed]


def snapshot_bytes(pipeline: Pipeline) -> bytes:
    return b"".join(chunks_of(pipeline))
