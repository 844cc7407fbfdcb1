"""The Redis adapters keep the ports' contracts, on a single server and on a cluster."""

import pytest

from realtime_pipeline.application.ports.stages import Unwatched
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.nodes import RedisNodes
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import KeptEntriesContract
from tests.contracts.views import ViewsContract


class TestRedisCellStore(KeptEntriesContract):
    @pytest.fixture(autouse=True)
    def _cells(self, redis_nodes: RedisNodes, redis_rules: RedisRules) -> None:
        self.cells = RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched())


class TestRedisViews(ViewsContract):
    @pytest.fixture(autouse=True)
    def _views(self, redis_nodes: RedisNodes, redis_rules: RedisRules) -> None:
        self.views = RedisViews(redis_nodes, redis_rules, listed_sessions_max=3, activity_hours=24 * 14)
