"""A stream of others of its own for each test."""

from collections.abc import Iterator

import pytest

from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.support.streams import Streams


@pytest.fixture
def streams() -> Iterator[Streams]:
    made = Streams()
    yield made
    made.client.close()


@pytest.fixture
def source(streams: Streams) -> Iterator[RedisStreamSource]:
    made = streams.source()
    yield made
    made.close()
