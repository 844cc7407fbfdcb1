"""Stores of their own for each test, on real servers."""

from collections.abc import Iterator

import pytest

from realtime_pipeline.infrastructure.redis.nodes import RedisNodes
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from tests import servers


@pytest.fixture(params=["single", "cluster"])
def redis_rules(request: pytest.FixtureRequest) -> RedisRules:
    return servers.redis_rules(request.param)


@pytest.fixture
def redis_nodes(redis_rules: RedisRules) -> Iterator[RedisNodes]:
    nodes = RedisNodes(redis_rules)
    yield nodes
    nodes.close()
