"""Slots of a Redis cluster migrate from node to node, key by key, under readers and a worker."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread

import attrs
import pytest

from harness.services.redis import RedisServer
from harness.services.resharding import move_slot, owner_of, slot_of
from realtime_pipeline import Pipeline, Request, Settings
from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.keys import Keys
from tests.support import servers
from tests.support.histories import NOW_MS, SMALL, differences, event, opened

READERS = 6
PARTITIONS = 2
CUSTOMERS = 12
ADA = CustomerId("ada")
CUTS = 3
"""How often the connections of each node are cut; mostly a request waits for its reply then."""


def on_cluster() -> Settings:
    """Make settings with a log in memory and an empty store on a cluster."""
    settings = attrs.evolve(servers.redis_settings("cluster"), view_cells=8, commit_records_max=7)
    return attrs.evolve(SMALL, partitions=PARTITIONS, log="memory", store="redis", redis=settings)


def slots(settings: Settings, nodes: list[RedisServer]) -> list[int]:
    """List the slots of a store: that of each cell, of each group of view cells, and of the key `meta`."""
    keys = Keys(settings.redis.namespace)
    cells = [keys.cell(partition) for partition in range(PARTITIONS)]
    groups = [keys.view(group, "products") for group in range(settings.redis.view_groups)]
    return [slot_of(nodes[0], key) for key in (*cells, *groups, keys.meta)]


def history(numbers: Iterator[int], size: int) -> list[dict[str, object]]:
    """Make events of customers who view, buy, review, sign in and are forgotten."""
    events = []
    for number in (next(numbers) for _ in range(size)):
        user, product = f"u{number % CUSTOMERS}", f"p{number % 9}"
        kind = ("view", "view", "add_to_cart", "purchase", "review", "view", "view")[number % 7]
        at_ms = 1_000 + 10 * number
        done = event(f"e{number}", kind, user, at_ms, product=product, category=f"c{number % 3}")
        if kind == "review":
            done["properties"]["rating"] = 1 + number % 5
        if kind == "purchase":
            done["properties"] |= {"price": 2, "quantity": 1, "order_id": f"o{number}"}
        events.append(done)
        if number % 20 == 9:
            events.append(event(f"s{number}", "view", None, at_ms, session=f"s{number}", product=product))
            events.append(event(f"i{number}", "sign_in", user, at_ms, session=f"s{number}"))
        if number % 40 == 39:
            events.append(event(f"f{number}", "customer_forgotten", user, at_ms))
    return events


@contextmanager
def reading(pipeline: Pipeline, failures: list[BaseException]) -> Iterator[list[int]]:
    """Run six threads, each with one kind of query, until the block ends; collect their errors.

    Yields the number of results of each thread.
    """
    ends = Event()
    answered = [0] * READERS
    asks: list[Callable[[], object]] = [
        lambda: pipeline.recommend_all([Request(f"u{number}") for number in range(CUSTOMERS)]),
        lambda: pipeline.recommend("u0"),
        lambda: pipeline.similar("p1"),
        pipeline.trending,
        pipeline.top_rated,
        lambda: pipeline.container.customer_queries().read_customers(
            [CustomerId(f"u{number}") for number in range(CUSTOMERS)]
        ),
    ]

    def read(number: int) -> None:
        while not ends.is_set():
            try:
                asks[number]()
                answered[number] += 1
            except BaseException as failure:
                failures.append(failure)
                ends.wait(0.01)

    threads = [Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        ends.set()
        for thread in threads:
            thread.join()


def test_slots_migrate_under_six_readers_and_a_worker() -> None:
    nodes, settings, numbers = servers.redis_cluster_nodes(), on_cluster(), count()
    failures: list[BaseException] = []
    with opened(settings) as pipeline:
        pipeline.publish(history(numbers, 60))
        pipeline.process()
        with pipeline.processing(), reading(pipeline, failures):
            for slot in slots(settings, nodes):
                at = nodes.index(owner_of(nodes, slot))
                target = nodes[(at + 1) % len(nodes)]
                target.command("FUNCTION", "FLUSH")  # a node that has just joined has none
                moved = move_slot(nodes, slot, target, lambda: pipeline.publish(history(numbers, 1)))
                assert moved > 0
            assert pipeline.is_processing
        pipeline.process()
        assert failures == []
        assert differences(pipeline) == []


def test_a_commit_is_atomic_while_its_slot_migrates() -> None:
    """One commit forgets a customer and writes the keys of the same customer again. A node that exports a slot fails a
    Function at a key that it lacks."""
    nodes, settings = servers.redis_cluster_nodes(), on_cluster()
    slot = slot_of(nodes[0], Keys(settings.redis.namespace).cell(0))
    source = owner_of(nodes, slot)
    target = nodes[(nodes.index(source) + 1) % len(nodes)]
    begin = [event("1", user="ada", product="mug"), event("2", "review", "ada", product="mug", rating=4)]
    begin += [event("3", "customer_forgotten", "bob"), event("4", user="ada", product="mug", at_ms=NOW_MS - 90_000)]
    again = [
        event("5", "customer_forgotten", "ada", NOW_MS - 50_000),
        event("6", user="ada", product="mug", at_ms=NOW_MS - 40_000),
        event("7", "review", "ada", product="mug", rating=2, at_ms=NOW_MS - 30_000),
    ]
    with opened(attrs.evolve(settings, partitions=1)) as pipeline:
        pipeline.publish(begin)
        pipeline.process()
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID").decode())
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID").decode())
        try:
            pipeline.publish(again)
            pipeline.process()
            assert [review.rating for review in pipeline.profile("ada").reviews] == [2]
        finally:
            for node in (source, target):
                node.command("CLUSTER", "SETSLOT", slot, "STABLE")
        assert differences(pipeline) == []


def test_readers_follow_redirects_with_the_rights_that_the_operations_page_names() -> None:
    nodes, settings = servers.redis_cluster_nodes(), attrs.evolve(on_cluster(), partitions=1)
    namespace = settings.redis.namespace
    page = (servers.ROOT / "docs" / "operations.md").read_text("utf-8").partition("readers need `~rp:*` and `+@read`")
    granted = page[2].partition("`")[2].partition("`")[0].split()
    signed_in = attrs.evolve(settings.redis, username=f"reader-{namespace}", password="a secret")  # noqa: S106
    for node in nodes:
        rights = (f"~{namespace}:*", "+@read", *granted)
        node.command("ACL", "SETUSER", signed_in.username, "reset", "on", ">a secret", *rights)
    slot = slot_of(nodes[0], Keys(namespace).cell(0))
    target = nodes[(nodes.index(owner_of(nodes, slot)) + 1) % len(nodes)]
    reader = RedisClient(signed_in)
    customers = RedisCustomerQueries(reader, signed_in, 1_000)
    with opened(settings) as pipeline:
        pipeline.publish([event("1", user="ada", product="mug")])
        pipeline.process()
        assert move_slot(nodes, slot, target, lambda: customers.read_customers([ADA])[ADA]) > 0
        back = nodes[(nodes.index(target) + 1) % len(nodes)]
        back.command("ACL", "SETUSER", signed_in.username, "-asking")
        wanted = f"run ASKING: grant it by ACL SETUSER {signed_in.username} \\+asking, on every node"
        with pytest.raises(Unavailable, match=wanted):
            move_slot(nodes, slot, back, lambda: customers.read_customers([ADA]))
        for node in nodes:
            node.command("CLUSTER", "SETSLOT", slot, "STABLE")
    reader.close()


def test_readers_retry_when_connections_are_cut() -> None:
    nodes, settings, failures = servers.redis_cluster_nodes(), on_cluster(), list[BaseException]()
    with opened(settings) as pipeline:
        pipeline.publish(history(count(), 60))
        pipeline.process()
        with reading(pipeline, failures) as answered:
            for node in nodes * CUTS:
                before = list(answered)
                node.command("CLIENT", "KILL", "TYPE", "normal")
                while any(now < 2 + then for now, then in zip(answered, before, strict=True)) and not failures:
                    time.sleep(0.002)  # so that no request meets two cuts: it is retried once
    assert [repr(failure) for failure in failures] == []


def test_readers_get_unreachable_and_no_other_error_while_a_node_is_down() -> None:
    nodes, failures = servers.redis_cluster_nodes(), list[BaseException]()
    settings = on_cluster()
    settings = attrs.evolve(settings, redis=attrs.evolve(settings.redis, request_timeout_ms=100))
    down = owner_of(nodes, slot_of(nodes[0], Keys(settings.redis.namespace).cell(0)))
    with opened(settings) as pipeline:
        pipeline.publish(history(count(), 60))
        pipeline.process()
        with reading(pipeline, failures):
            down.process.signal(signal.SIGSTOP)
            try:
                while not failures:
                    time.sleep(0.005)
            finally:
                down.process.signal(signal.SIGCONT)
        assert {type(failure) for failure in failures} == {Unreachable}
        pipeline.publish(history(count(60), 20))
        pipeline.process()
        assert differences(pipeline) == []
