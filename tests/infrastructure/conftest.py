"""Stores of their own for each test, on real servers."""

from collections.abc import Iterator

import pytest

from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support import servers


@pytest.fixture(params=["single", "cluster"])
def redis_settings(request: pytest.FixtureRequest) -> RedisSettings:
    return servers.redis_settings(request.param)


@pytest.fixture
def redis_client(redis_settings: RedisSettings) -> Iterator[RedisClient]:
    nodes = RedisClient(redis_settings)
    yield nodes
    nodes.close()
