"""Streams of others in Kinesis for tests, and reading them."""

from typing import Any

import attrs

from harness.services.kinesis import KinesisServer
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.support import servers

SHARD = "shardId-000000000000"
HOUR_MS = 3_600_000
WAIT_S = 10.0


def settings_at(endpoint: str, stream: str = "others") -> KinesisSettings:
    return KinesisSettings(
        stream,
        region="eu-central-1",
        endpoint_url=endpoint,
        access_key_id="any",
        secret_access_key="a secret",  # noqa: S106
        calls_per_second=100,
        request_timeout_ms=1_000,
    )


class Moto:
    """A stream of others in moto."""

    def __init__(self, server: KinesisServer | None = None, shards: int = 1) -> None:
        self.server = server or servers.kinesis()
        self.name = servers.unique("others")
        self.client = self.server.client()
        self.client.create_stream(StreamName=self.name, ShardCount=shards)

    def put(self, *values: bytes, key: str = "all") -> None:
        self.server.fill(self.name, values, key)

    def source(self, **changes: Any) -> KinesisSource:
        return KinesisSource("others", attrs.evolve(settings_at(self.server.endpoint, self.name), **changes))


def skipping(source: KinesisSource) -> KinesisSource:
    return KinesisSource("others", attrs.evolve(source._settings, skip_lost=True))


def read_all(source: Source, records_max: int = 2_000) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    while (batch := source.read(records_max, 0.0)) is not None:
        values += [record.value for record in batch.records]
        positions |= batch.positions
    return values, positions
