"""The Redis adapters keep the ports' contracts, on a single server and on a cluster."""

import signal
from collections.abc import Collection
from pathlib import Path

import attrs
import pytest

from harness.services.redis import redis_server
from realtime_pipeline.application.errors import Stopped, Unavailable, Unreachable, WrongLog
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.stages import Unwatched
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.recommendation.trending import TrendingRules
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import ProductState
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.session import Session, SessionKey, session_key
from realtime_pipeline.domain.streams.effects import HOUR_MS, Activity, Deltas, view_cell_of
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.nodes import RedisNodes
from realtime_pipeline.infrastructure.redis.rules import RedisRules
from realtime_pipeline.infrastructure.redis.trends import Categories, Trends
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests import servers
from tests.contracts.cell_store import KeptEntriesContract, effects, seen
from tests.contracts.views import HOUR, ViewsContract


class TestRedisCellStore(KeptEntriesContract):
    @pytest.fixture(autouse=True)
    def _cells(self, redis_nodes: RedisNodes, redis_rules: RedisRules) -> None:
        self.cells = RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched())


class TestRedisViews(ViewsContract):
    @pytest.fixture(autouse=True)
    def _views(self, redis_nodes: RedisNodes, redis_rules: RedisRules) -> None:
        self.views = RedisViews(redis_nodes, redis_rules, listed_sessions_max=3, activity_hours=24 * 14)
        self.nodes, self.rules, self.namespace = redis_nodes, redis_rules, redis_rules.namespace

    def test_old_hours_are_let_go_of_also_those_of_countries(self) -> None:
        for number, hour in enumerate((HOUR - 24 * 14 - 1, HOUR - 1, HOUR)):
            source = SourceRange(0, 1, number, number + 1, Watermark(0, hour * HOUR_MS, 0))
            done = {country: Activity(views=1) for country in ("DE", "FR")}
            deltas = Deltas(
                {MUG: ProductState(1)},
                {(hour, MUG): Activity(views=2)},
                by_country={(hour, country, MUG): counted for country, counted in done.items()},
            )
            self.views.merge(
                [
                    Merge(cell, (source,), deltas.part(cell, self.views.view_cells))
                    for cell in range(self.views.view_cells)
                ]
            )
        kept = {name.decode().rpartition("}:")[2] for name in everything(self.nodes, self.namespace)}
        assert {name for name in kept if name.startswith("activity")} == {
            f"activity:{hour}{country}" for hour in (HOUR - 1, HOUR) for country in ("", ":DE", ":FR")
        }
        assert [(one.product_id, one.actions) for one in self.views.trending(TrendingRules(), None, 9, "FR")] == [
            (MUG, 2)
        ]

    def test_a_reader_takes_nothing_of_an_erased_store_for_what_was_merged_since(self) -> None:
        reader = RedisViews(self.nodes, self.rules, listed_sessions_max=3, activity_hours=24)
        for product, views in ((MUG, 3), (JUG, 50)):  # each time one merge: the hour's version is the same
            self.views.erase()
            self.views.claim(0, 1)
            source = SourceRange(0, 1, 0, 1, Watermark(0, HOUR * HOUR_MS, 0))
            deltas = Deltas({product: ProductState(1)}, {(HOUR, product): Activity(views=views)})
            for cell in range(self.views.view_cells):
                self.views.merge([Merge(cell, (source,), deltas.part(cell, self.views.view_cells))])
            assert [(one.product_id, one.actions) for one in reader.trending(TrendingRules(), None, 9)] == [
                (product, views)
            ]


class TestCategories:
    """What a reader knows of the categories of products that trend."""

    def test_nothing_is_lost_when_a_read_fails(self) -> None:
        trends, categories = Trends(unsorted={b"mug", b"jug"}), Categories()
        categories.sort(trends, {}, 0, lambda products: dict.fromkeys(products, "kitchen"))

        def fail(products: Collection[bytes]) -> dict[bytes, str]:
            raise Unreachable("Redis does not answer")

        with pytest.raises(Unreachable):
            categories.sort(trends, {b"jug": 1}, 1, fail)
        assert set(categories.members("kitchen")) == {b"mug", b"jug"}
        categories.sort(trends, {b"jug": 1}, 1, lambda products: dict.fromkeys(products, "garden"))
        assert (set(categories.members("kitchen")), set(categories.members("garden"))) == ({b"mug"}, {b"jug"})

    def test_all_is_asked_for_again_where_all_was_begun_anew(self) -> None:
        trends, categories = Trends(unsorted={b"mug", b"jug"}), Categories()
        categories.sort(trends, {}, 7, lambda products: dict.fromkeys(products, "kitchen"))
        categories.sort(trends, {}, 0, lambda _: {b"mug": "garden"})
        assert (list(categories.members("kitchen")), list(categories.members("garden"))) == ([], [b"mug"])
        assert trends.unsorted == {b"jug"}

    def test_what_trends_no_longer_is_not_kept(self) -> None:
        categories = Categories()
        categories.sort(Trends(unsorted={b"mug", b"jug"}), {}, 0, lambda products: dict.fromkeys(products, "kitchen"))
        categories.keep({b"mug"})
        assert list(categories.members("kitchen")) == [b"mug"]


ADA, MUG, JUG = CustomerId("ada"), ProductId("mug"), ProductId("jug")
READER = Watermark(1, 2, 3)


def everything(nodes: RedisNodes, namespace: str) -> dict[bytes, bytes]:
    """All that is in a store."""
    names = [name for listed in nodes.scan(f"{namespace}:*", 1_000) for name in listed]
    return dict(zip(names, nodes.ask([(name.decode(), ("DUMP", name)) for name in names]), strict=True))


def ask(nodes: RedisNodes, key: str, *request: str | int) -> object:
    return nodes.ask([(key, request)])[0]


class TestChecksBeforeWrites:
    """What cannot be done whole is not begun: a Function that fails half way is not rolled back."""

    @pytest.fixture(autouse=True)
    def _store(self, redis_nodes: RedisNodes, redis_rules: RedisRules) -> None:
        self.nodes, self.keys, self.namespace = redis_nodes, Keys(redis_rules.namespace), redis_rules.namespace
        self.cells = RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched())
        self.views = RedisViews(redis_nodes, redis_rules, 3, 24 * 14)
        self.cells.claim(0, 1)
        self.views.claim(0, 1)

    def commit(self) -> None:
        session = Session(session_key(0, 3), "s", 5, 9, 1, {MUG: (9, 1)})
        changed = effects(
            seen(ADA), sessions=(session,), reviews=(Review(ADA, MUG, 4, "fine", 9),), tombstones={ADA: 1}
        )
        self.cells.commit([Commit(0, 1, 1, 0, 1, READER, changed)])

    def merge(self, interactions: int = 3) -> None:
        deltas = Deltas(
            {MUG: ProductState(interactions, 1, 4, name=("Mug", 9), price=(5, 9))},
            {(7, MUG): Activity(views=1, carts=1)},
            {(MUG, SessionKey(5)): 9},
            {(7, "DE", MUG): Activity(views=1)},
        )
        cell = view_cell_of(MUG, self.views.view_cells)
        self.views.merge([Merge(cell, (SourceRange(0, 1, 0, 1, READER),), deltas)])

    def view(self, name: str) -> str:
        return self.keys.view(view_cell_of(MUG, self.views.view_cells), name)

    @pytest.mark.parametrize("which", ["outbox", "sessions", "reviews", "tombstones"])
    def test_a_key_of_another_type_leaves_the_cell_as_it_is(self, which: str) -> None:
        key = {
            "outbox": self.keys.outbox(0),
            "sessions": self.keys.sessions(session_key(0, 3)),
            "reviews": self.keys.reviews(0, CustomerId("bob")),
            "tombstones": self.keys.tombstones(0),
        }[which]
        ask(self.nodes, key, "SET", key, "something else")
        before = everything(self.nodes, self.namespace)
        bobs = Review(CustomerId("bob"), MUG, 4, "fine", 9)
        session = Session(session_key(0, 3), "s", 5, 9)
        changed = effects(seen(ADA), sessions=(session,), reviews=(bobs,), tombstones={ADA: 1})
        with pytest.raises(Stopped, match="use another namespace"):
            self.cells.commit([Commit(0, 1, 1, 0, 1, READER, changed)])
        assert everything(self.nodes, self.namespace) == before

    @pytest.mark.parametrize(
        "name",
        [
            *("names", "prices", "interactions", "totals", "ratings", "hours", "activity:7", "list:mug", "moved"),
            *("countries", "hours:DE", "activity:7:DE"),
        ],
    )
    def test_a_key_of_another_type_leaves_the_views_as_they_are(self, name: str) -> None:
        ask(self.nodes, self.view(name), "SET", self.view(name), "something else")
        before = everything(self.nodes, self.namespace)
        with pytest.raises(Stopped, match="use another namespace"):
            self.merge()
        assert everything(self.nodes, self.namespace) == before

    def test_a_customer_of_another_type_is_not_taken_for_a_new_one(self) -> None:
        key = self.keys.customers(0, [ADA])[0]
        ask(self.nodes, key, "RPUSH", key, "something else")
        with pytest.raises(Stopped, match="of another type"):
            self.cells.customers({0: [ADA]})

    @pytest.mark.parametrize("stored", ["999999999999999999999", "1.5", "many"])
    def test_a_number_that_could_leave_64_bits_leaves_the_views_as_they_are(self, stored: str) -> None:
        ask(self.nodes, self.view("totals"), "HSET", self.view("totals"), "interactions", stored)
        before = everything(self.nodes, self.namespace)
        with pytest.raises(Stopped, match="would leave 64 bits"):
            self.merge()
        assert everything(self.nodes, self.namespace) == before

    def test_a_count_that_could_leave_64_bits_leaves_the_cell_as_it_is(self) -> None:
        ask(self.nodes, self.keys.cell(0), "HSET", self.keys.cell(0), "n_applied", "9999999999999999999")
        before = everything(self.nodes, self.namespace)
        with pytest.raises(Stopped, match="would leave 64 bits"):
            self.commit()
        assert everything(self.nodes, self.namespace) == before

    def test_numbers_beyond_what_floats_hold_are_exact(self) -> None:
        ask(self.nodes, self.view("totals"), "HSET", self.view("totals"), "interactions", 2**53)
        self.merge(interactions=1)
        assert self.views.interactions() == 2**53 + 1

    def test_functions_that_were_lost_are_loaded_again(self) -> None:
        for node in self.nodes.masters():
            node.execute_command("FUNCTION", "FLUSH")
        self.commit()
        self.merge()
        assert self.views.interactions() == 3


def test_reviews_of_who_is_called_like_a_key_are_no_customers(redis_rules: RedisRules, redis_nodes: RedisNodes) -> None:
    cells = RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched())
    odd = CustomerId("x}:customer:y")
    review = Review(odd, MUG, 5, "", 1)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, attrs.evolve(effects(seen(odd)), reviews={(odd, MUG): review}))])
    assert [one.customer_id for one in cells.scan()] == [odd]


def test_a_redis_that_drops_keys_is_refused() -> None:
    place = servers.redis_place_that("--maxmemory-policy", "allkeys-lru")
    nodes = RedisNodes(RedisRules(nodes=place))
    with pytest.raises(Unavailable, match=r"drops any key when memory is short .*allkeys-lru.*noeviction"):
        nodes.check()
    nodes.close()


def test_the_rights_that_the_operations_page_names_are_enough_and_a_password_is_needed(tmp_path: Path) -> None:
    place, namespace = servers.redis_place(), servers.unique("rights")
    admin = RedisNodes(RedisRules(nodes=place))
    rights = (
        (servers.ROOT / "docs" / "operations.md").read_text("utf-8").partition("workers needs `~rp:*` (the namespace)")
    )
    granted = rights[2].partition("`")[2].partition("`")[0].split()
    assert "-@dangerous" in granted
    ask(admin, "", "ACL", "SETUSER", "worker", "reset", "on", ">secret", f"~{namespace}:*", *granted)
    (tmp_path / "password").write_text("secret\n")
    rules = RedisRules(nodes=place, namespace=namespace, username="worker", password_file=str(tmp_path / "password"))
    nodes = RedisNodes(rules)
    cells = RedisCellStore(nodes, rules, 1_000, Unwatched())
    cells.bind(LogIdentity("a", 1, "consistent"))
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, effects(seen(ADA)))])
    cells.trim(0, 1, 1)
    views = RedisViews(nodes, rules, 3, 24)
    views.claim(0, 1)
    views.merge([Merge(0, (SourceRange(0, 1, 0, 1, READER),), Deltas({MUG: ProductState(1)}))])
    assert [one.customer_id for one in cells.scan()] == [ADA]
    assert dict(views.scan()) == {MUG: ProductState(1)}
    nodes.close()
    mistaken = attrs.evolve(rules, password_file="", password=f"not {namespace}")
    shut_out = RedisNodes(mistaken)
    with pytest.raises(Unavailable, match="does not let this user in") as refused:
        shut_out.check()
    assert mistaken.password not in f"{refused.value!r} {mistaken!r}"
    shut_out.close()
    admin.close()


def committed(rules: RedisRules) -> None:
    nodes = RedisNodes(rules)
    cells = RedisCellStore(nodes, rules, 1_000, Unwatched())
    try:
        cells.claim(0, 1 + cells.epoch(0))
        here = cells.positions([0])[0]
        cells.commit([Commit(0, cells.epoch(0), 1 + here, here, here + 1, READER, effects(seen(ADA)))])
    finally:
        nodes.close()


def test_a_commit_counts_when_a_replica_has_it(tmp_path: Path) -> None:
    place = servers.redis_place_that()
    host, port = place.split(":")
    with redis_server(tmp_path, None, "--replicaof", host, port) as replica:
        rules = RedisRules(nodes=place, wait_replicas=1, wait_ms=20_000, timeout_ms=30_000)
        committed(rules)
        assert replica.told("replication", "master_link_status") == "up"
        replica.process.signal(signal.SIGSTOP)
        with pytest.raises(Unreachable, match="0 of 1 replicas have the commit"):
            committed(attrs.evolve(rules, wait_ms=50))
        replica.process.signal(signal.SIGCONT)


def test_a_commit_counts_when_it_is_on_the_disk() -> None:
    committed(RedisRules(nodes=servers.redis_place_that("--appendfsync", "always"), wait_disk=True))
    with pytest.raises(Unavailable, match=r"cannot wait for its disk .*: set appendonly yes"):
        committed(RedisRules(nodes=servers.redis_place_that("--appendonly", "no"), wait_disk=True))


def test_readers_need_no_more_than_the_operations_page_grants_them() -> None:
    place, namespace = servers.redis_place(), servers.unique("readers")
    page = (servers.ROOT / "docs" / "operations.md").read_text("utf-8")
    granted = page.partition("readers need `~rp:*` and `")[2].partition("`")[0].split()
    assert granted == ["+@read", "+fcall_ro"]
    worker_rules = RedisRules(nodes=place, namespace=namespace)
    worker = RedisNodes(worker_rules)
    cells, views = RedisCellStore(worker, worker_rules, 1_000, Unwatched()), RedisViews(worker, worker_rules, 3, 24)
    cells.bind(LogIdentity("a", 1, "consistent"))
    cells.claim(0, 1)
    session = Session(session_key(0, 0), "s", 5, 9, 1, {MUG: (9, 1)})
    cells.commit([Commit(0, 1, 1, 0, 1, READER, effects(seen(ADA), sessions=(session,)))])
    views.claim(0, 1)
    listed = Deltas({MUG: ProductState(1)}, {(0, MUG): Activity(views=1)}, {(MUG, session.key): 9})
    views.merge([Merge(0, (SourceRange(0, 1, 0, 1, READER),), listed)])
    ask(worker, "", "ACL", "SETUSER", "reader", "reset", "on", ">secret", f"~{namespace}:*", *granted)
    rules = attrs.evolve(worker_rules, username="reader", password="secret")  # noqa: S106
    reader = RedisNodes(rules)
    read, seen_views = RedisCellStore(reader, rules, 1_000, Unwatched()), RedisViews(reader, rules, 3, 24)
    assert read.customer(ADA) is not None
    assert read.sessions([session.key]) == {session.key: session}
    assert seen_views.sessions_of([MUG], 3) == {MUG: {session.key: 9}}
    assert [one.product_id for one in seen_views.trending(TrendingRules(), None, 5)] == [MUG]
    assert seen_views.products([MUG]).keys() == {MUG}
    with pytest.raises(Unavailable, match="does not let this user in"):
        read.claim(0, 2)
    reader.close()
    worker.close()


def test_a_master_that_waits_for_a_replica_is_waited_for() -> None:
    place = servers.redis_place_that("--min-replicas-to-write", "1")
    rules = RedisRules(nodes=place)
    nodes = RedisNodes(rules)
    with pytest.raises(Unreachable, match="does not take writes now: NOREPLICAS"):
        RedisCellStore(nodes, rules, 1_000, Unwatched()).claim(0, 1)
    nodes.close()


def test_a_full_redis_lets_room_be_made() -> None:
    rules = RedisRules(nodes=servers.redis_place_that("--maxmemory-policy", "noeviction"))
    nodes = RedisNodes(rules)
    cells = RedisCellStore(nodes, rules, 1_000, Unwatched())
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, effects(seen(ADA)))])
    ask(nodes, "", "CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unreachable, match=r"Redis does not answer: .*maxmemory"):
        cells.commit([Commit(0, 1, 2, 1, 2, READER, effects(seen(ADA)))])
    assert cells.claim(0, 2).position == 1
    cells.trim(0, 2, 1)
    assert list(cells.kept(0, 0)) == []
    nodes.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_a_redis_that_is_not_there_is_said_so(cluster: bool) -> None:
    nodes = RedisNodes(RedisRules(nodes="127.0.0.1:1", timeout_ms=200, cluster=cluster))
    for _ in range(2):  # a cluster is looked for anew each time
        with pytest.raises(Unreachable, match="Redis does not answer"):
            nodes.ask([("k", ("GET", "k"))])
    with pytest.raises(Unreachable, match="Redis does not answer"):
        nodes.check()


def test_a_single_server_is_not_taken_for_a_cluster() -> None:
    nodes = RedisNodes(RedisRules(nodes=servers.redis_place(), cluster=True))
    with pytest.raises(Unavailable, match=r"set redis\.cluster = false"):
        nodes.check()
    nodes.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_a_wrong_password_is_said_so(cluster: bool) -> None:
    place = servers.redis_place_that()
    owner = RedisNodes(RedisRules(nodes=place))
    ask(owner, "", "CONFIG", "SET", "requirepass", "a secret")
    owner.close()
    nodes = RedisNodes(RedisRules(nodes=place, cluster=cluster, password="guessed"))  # noqa: S106
    with pytest.raises(Unavailable, match="does not let this user in") as refused:
        nodes.check()
    assert not isinstance(refused.value, Unreachable)
    nodes.close()


def test_functions_of_another_build_under_the_same_name_are_not_used() -> None:
    place = servers.redis_place_that()
    nodes = RedisNodes(RedisRules(nodes=place))
    nodes.check()
    library = (servers.ROOT / "src/realtime_pipeline/infrastructure/redis/functions.lua").read_text("utf-8")
    ask(nodes, "", "FUNCTION", "LOAD", "REPLACE", library + "-- and something else")
    with pytest.raises(Unavailable, match="Redis has other Functions under the name realtime_pipeline_"):
        nodes.check()
    nodes.close()


def test_requests_that_are_refused_leave_no_connections_behind() -> None:
    rules = servers.redis_rules("cluster")
    nodes = RedisNodes(rules)
    ask(nodes, f"{rules.namespace}:k", "SET", f"{rules.namespace}:k", "text")

    def connections() -> int:
        return sum(len(node.client_list()) for node in nodes.masters())

    before = connections()
    for _ in range(10):
        with pytest.raises(Stopped, match="something else"):
            ask(nodes, f"{rules.namespace}:k", "HGET", f"{rules.namespace}:k", "field")
    assert connections() <= before + 1
    nodes.close()


def test_a_store_has_as_many_view_cells_as_it_was_made_with(redis_rules: RedisRules, redis_nodes: RedisNodes) -> None:
    identity = LogIdentity("a", 1, "consistent")
    RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched()).bind(identity)
    others = attrs.evolve(redis_rules, view_cells=redis_rules.view_cells + 1)
    cells = RedisCellStore(redis_nodes, others, 1_000, Unwatched())
    views = RedisViews(redis_nodes, others, listed_sessions_max=3, activity_hours=24)
    for use in (
        lambda: cells.bind(identity),
        lambda: cells.customer(ADA),
        lambda: views.trending(TrendingRules(), None, 9),
    ):
        with pytest.raises(WrongLog, match=rf"set redis\.view_cells = {redis_rules.view_cells}"):
            use()


def test_thousands_of_sessions_can_be_asked_for_at_once(redis_rules: RedisRules, redis_nodes: RedisNodes) -> None:
    cells = RedisCellStore(redis_nodes, redis_rules, 1_000, Unwatched())
    session = Session(session_key(0, 8_999), None, 1, 2)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, attrs.evolve(effects(seen(ADA)), sessions={session.key: session}))])
    assert cells.sessions([session_key(0, position) for position in range(9_000)]) == {session.key: session}
