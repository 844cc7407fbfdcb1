"""Servers that are refused or lack something: eviction, rights, replicas, memory, Functions, passwords."""

import signal
from pathlib import Path

import attrs
import pytest

from harness.services.redis import redis_server
from realtime_pipeline.application.errors import Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.profile.session import Session, session_key
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.functions import LIBRARY, library
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import effects, seen
from tests.support import servers
from tests.support.servers import ask

ADA, MUG = CustomerId("ada"), ProductId("mug")
MARK = Watermark(1, 2, 3)


def test_a_redis_with_an_eviction_policy_is_refused() -> None:
    """Under each policy; those of `volatile-*` evict sessions first, because sessions have a TTL."""
    place = servers.redis_address_with("--maxmemory-policy", "allkeys-lru")
    client = RedisClient(RedisSettings(nodes=place))
    policies = {
        "allkeys-lru": "positions and customers too",
        "allkeys-random": "positions and customers too",
        "volatile-lru": "sessions first",
        "volatile-lfu": "sessions first",
        "volatile-random": "sessions first",
        "volatile-ttl": "sessions first",
    }
    for policy, lost in policies.items():
        ask(client, "", "CONFIG", "SET", "maxmemory-policy", policy)
        with pytest.raises(Unavailable) as refused:
            client.check()
        what = f"Redis drops keys when memory is short (maxmemory-policy {policy}), {lost}"
        assert str(refused.value) == f"{what}: set maxmemory-policy noeviction"
    ask(client, "", "CONFIG", "SET", "maxmemory-policy", "noeviction")
    client.check()
    client.close()


def test_the_rights_that_the_operations_page_names_are_enough_and_a_password_is_needed(tmp_path: Path) -> None:
    place, namespace = servers.redis_address(), servers.unique("rights")
    admin = RedisClient(RedisSettings(nodes=place))
    rights = (
        (servers.ROOT / "docs" / "operations.md").read_text("utf-8").partition("workers needs `~rp:*` (the namespace)")
    )
    granted = rights[2].partition("`")[2].partition("`")[0].split()
    assert "-@dangerous" in granted
    ask(admin, "", "ACL", "SETUSER", "worker", "reset", "on", ">secret", f"~{namespace}:*", *granted)
    (tmp_path / "password").write_text("secret\n")
    password_file = str(tmp_path / "password")
    settings = RedisSettings(nodes=place, namespace=namespace, username="worker", password_file=password_file)
    client = RedisClient(settings)
    cells = RedisCellStore(client, settings, 1_000, NoObserver())
    cells.bind(LogIdentity("a", 1, "consistent"))
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, MARK, effects(seen(ADA)))])
    cells.trim(0, 1, 1)
    views = RedisViews(client, settings, 3, 24)
    views.claim(0, 1)
    views.merge([Merge(0, (SourceRange(0, 1, 0, 1, MARK),), Deltas({MUG: ProductState(1)}))])
    assert [customer.customer_id for customer in RedisCustomerQueries(client, settings, 1_000).scan()] == [ADA]
    assert dict(RedisProductQueries(client, settings, 3).scan()) == {MUG: ProductState(1)}
    client.close()
    mistaken = attrs.evolve(settings, password_file="", password=f"not {namespace}")
    shut_out = RedisClient(mistaken)
    with pytest.raises(Unavailable, match="does not let this user in") as refused:
        shut_out.check()
    assert mistaken.password not in f"{refused.value!r} {mistaken!r}"
    shut_out.close()
    admin.close()


def committed(settings: RedisSettings) -> None:
    client = RedisClient(settings)
    cells = RedisCellStore(client, settings, 1_000, NoObserver())
    try:
        cells.claim(0, 1 + cells.epoch(0))
        here = cells.positions([0])[0]
        cells.commit([Commit(0, cells.epoch(0), 1 + here, here, here + 1, MARK, effects(seen(ADA)))])
    finally:
        client.close()


def test_a_commit_counts_when_a_replica_has_it(tmp_path: Path) -> None:
    place = servers.redis_address_with()
    host, port = place.split(":")
    with redis_server(tmp_path, None, "--replicaof", host, port) as replica:
        settings = RedisSettings(nodes=place, wait_replicas=1, wait_timeout_ms=20_000, request_timeout_ms=30_000)
        committed(settings)
        assert replica.info("replication", "master_link_status") == "up"
        replica.process.signal(signal.SIGSTOP)
        with pytest.raises(Unreachable, match="0 of 1 replicas have the commit"):
            committed(attrs.evolve(settings, wait_timeout_ms=50))
        replica.process.signal(signal.SIGCONT)


def test_a_commit_counts_when_it_is_on_the_disk() -> None:
    committed(RedisSettings(nodes=servers.redis_address_with("--appendfsync", "always"), wait_disk=True))
    with pytest.raises(Unavailable, match=r"cannot wait for its disk .*: set appendonly yes"):
        committed(RedisSettings(nodes=servers.redis_address_with("--appendonly", "no"), wait_disk=True))


def test_readers_need_no_more_than_the_operations_page_grants_them() -> None:
    place, namespace = servers.redis_address(), servers.unique("readers")
    page = (servers.ROOT / "docs" / "operations.md").read_text("utf-8")
    granted = page.partition("readers need `~rp:*` and `")[2].partition("`")[0].split()
    assert granted == ["+@read"]
    worker_settings = RedisSettings(nodes=place, namespace=namespace)
    worker = RedisClient(worker_settings)
    cells, views = (
        RedisCellStore(worker, worker_settings, 1_000, NoObserver()),
        RedisViews(worker, worker_settings, 3, 24),
    )
    cells.bind(LogIdentity("a", 1, "consistent"))
    cells.claim(0, 1)
    session = Session(session_key(0, 0), "s", 5, 9, 1, {MUG: (9, 1)})
    cells.commit([Commit(0, 1, 1, 0, 1, MARK, effects(seen(ADA), sessions=(session,)))])
    views.claim(0, 1)
    listed = Deltas({MUG: ProductState(1)}, {(0, MUG): Activity(views=1)}, {(MUG, session.key): 9})
    ranges = (SourceRange(0, 1, 0, 1, MARK),)
    views.merge([Merge(cell, ranges, part) for cell, part in enumerate(listed.parts(views.view_cells))])
    ask(worker, "", "ACL", "SETUSER", "reader", "reset", "on", ">secret", f"~{namespace}:*", *granted)
    settings = attrs.evolve(worker_settings, username="reader", password="secret")  # noqa: S106
    reader = RedisClient(settings)
    read, seen_views = RedisCustomerQueries(reader, settings, 1_000), RedisProductQueries(reader, settings, 3)
    assert read.read_customer(ADA) is not None
    assert read.session_summaries([session.key]) == {session.key: session.summary()}
    assert seen_views.sessions_of([MUG], 3) == {MUG: {session.key: 9}}
    assert [product.product_id for product in seen_views.trending(TrendingSettings(), None, 5)] == [MUG]
    assert seen_views.products([MUG]).keys() == {MUG}
    with pytest.raises(Unavailable, match=r"let the user reader run FCALL: grant it by ACL SETUSER reader \+fcall"):
        RedisCellStore(reader, settings, 1_000, NoObserver()).claim(0, 2)
    reader.close()
    worker.close()


def test_a_master_without_its_replicas_counts_as_unreachable() -> None:
    place = servers.redis_address_with("--min-replicas-to-write", "1")
    settings = RedisSettings(nodes=place)
    client = RedisClient(settings)
    with pytest.raises(Unreachable, match="does not take writes now: NOREPLICAS"):
        RedisCellStore(client, settings, 1_000, NoObserver()).claim(0, 1)
    client.close()


def test_a_worker_makes_room_in_a_full_redis() -> None:
    settings = RedisSettings(nodes=servers.redis_address_with("--maxmemory-policy", "noeviction"))
    client = RedisClient(settings)
    cells, views = RedisCellStore(client, settings, 1_000, NoObserver()), RedisViews(client, settings, 3, 24)
    identity = LogIdentity("a", 1, "consistent")
    cells.bind(identity)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, MARK, effects(seen(ADA)))])
    views.claim(0, 1)
    ask(client, "", "CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unreachable, match=r"Redis is full: .*maxmemory"):
        cells.commit([Commit(0, 1, 2, 1, 2, MARK, effects(seen(ADA)))])
    cells = RedisCellStore(client, settings, 1_000, NoObserver())
    cells.bind(identity)  # as a worker that starts again
    assert cells.claim(0, 2).position == 1
    ranges = (SourceRange(0, 1, 0, 1, MARK),)  # an outbox entry can be trimmed only when the views have it
    parts = Deltas({MUG: ProductState(1)}).parts(views.view_cells)
    views.merge([Merge(cell, ranges, part) for cell, part in enumerate(parts)])
    products = RedisProductQueries(client, settings, 3)
    assert (views.positions([0]), products.interactions_of([MUG])) == ({0: (1,) * views.view_cells}, {MUG: 1})
    cells.trim(0, 2, 1)
    assert list(cells.outbox(0, 0)) == []
    client.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_a_redis_that_does_not_answer_is_named(cluster: bool) -> None:
    client = RedisClient(RedisSettings(nodes="127.0.0.1:1", request_timeout_ms=200, cluster=cluster))
    for _ in range(2):  # the client looks for the cluster again each time
        with pytest.raises(Unreachable, match="Redis does not answer"):
            client.execute([("k", ("GET", "k"))])
    with pytest.raises(Unreachable, match="Redis does not answer"):
        client.check()


def test_a_single_server_is_not_taken_for_a_cluster() -> None:
    client = RedisClient(RedisSettings(nodes=servers.redis_address(), cluster=True))
    with pytest.raises(Unavailable, match=r"set redis\.cluster = false"):
        client.check()
    client.close()


def test_a_node_of_a_cluster_is_not_taken_for_a_single_server() -> None:
    client = RedisClient(RedisSettings(nodes=servers.redis_cluster_address()))
    with pytest.raises(Unavailable, match=r"set redis\.cluster = true"):
        client.execute([(key, ("GET", key)) for key in "abcdefgh"])
    client.close()


def test_a_worker_without_the_right_to_load_functions_is_refused() -> None:
    place = servers.redis_address_with()
    owner = RedisClient(RedisSettings(nodes=place))
    rights = ("~rp:*", "+@all", "-@admin", "-@dangerous", "-function|load", "+function|list", "+info")
    ask(owner, "", "ACL", "SETUSER", "worker", "reset", "on", ">secret", *rights)
    owner.close()
    settings = RedisSettings(nodes=place, username="worker", password="secret")  # noqa: S106
    client = RedisClient(settings)
    with pytest.raises(Unavailable, match=r"may not load them.*a worker's user needs \+function\|load"):
        RedisCellStore(client, settings, 1_000, NoObserver()).bind(LogIdentity("a", 1, "consistent"))
    client.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_a_wrong_password_is_named(cluster: bool) -> None:
    place = servers.redis_address_with()
    owner = RedisClient(RedisSettings(nodes=place))
    ask(owner, "", "CONFIG", "SET", "requirepass", "a secret")
    owner.close()
    client = RedisClient(RedisSettings(nodes=place, cluster=cluster, password="guessed"))  # noqa: S106
    with pytest.raises(Unavailable, match="does not let this user in") as refused:
        client.check()
    assert not isinstance(refused.value, Unreachable)
    client.close()


def test_functions_of_another_build_under_the_same_name_are_not_used() -> None:
    place = servers.redis_address_with()
    client = RedisClient(RedisSettings(nodes=place))
    client.check()
    ask(client, "", "FUNCTION", "LOAD", "REPLACE", library() + "-- and something else")
    with pytest.raises(Unavailable, match=f"Redis has other Functions under the name {LIBRARY}"):
        client.check()
    client.close()


def test_refused_requests_leak_no_connections() -> None:
    settings = servers.redis_settings("cluster")
    client = RedisClient(settings)
    ask(client, f"{settings.namespace}:k", "SET", f"{settings.namespace}:k", "text")

    def connections() -> int:
        return sum(len(node.client_list()) for node in client.masters())

    before = connections()
    for _ in range(10):
        with pytest.raises(UnrecoverableState, match="something else"):
            ask(client, f"{settings.namespace}:k", "HGET", f"{settings.namespace}:k", "field")
    assert connections() <= before + 1
    client.close()
