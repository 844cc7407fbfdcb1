"""Streams of others in Redis for tests, and reading them."""

from typing import Any

import attrs

from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.support import servers


class Streams:
    """Streams of others, and what others do with them."""

    def __init__(self, count: int = 1, **settings: Any) -> None:
        keys = tuple(servers.unique("others") for _ in range(count))
        settings.setdefault("nodes", servers.redis_address())
        self.settings = RedisStreamSettings(keys, **settings)
        self.client = RedisClient(self.settings.client())

    def do(self, *words: str | int | bytes, key: int = 0) -> Any:
        """Send a command about a stream, whose key follows the command."""
        name = self.settings.keys[key]
        return self.client.execute([(name, (words[0], name, *words[1:]))])[0]

    def add(self, *values: bytes | str, key: int = 0) -> None:
        name = self.settings.keys[key]
        self.client.execute([(name, ("XADD", name, "*", "json", value)) for value in values])

    def source(self, **changes: Any) -> RedisStreamSource:
        return RedisStreamSource("others", attrs.evolve(self.settings, **({"field": "json"} | changes)))


def read_all(source: Source, records_max: int = 100) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    while (batch := source.read(records_max, 0.0)) is not None:
        values += [record.value for record in batch.records]
        positions |= batch.positions
    return values, positions
