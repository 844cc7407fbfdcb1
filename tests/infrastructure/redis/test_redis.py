"""The Redis adapters keep the ports' contracts, on a single server and on a cluster."""

from collections.abc import Sequence

import attrs
import pytest

from realtime_pipeline.application.errors import Fenced, Unreachable, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.profile.session import Session, SessionKey, session_key
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Reply, Request
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import KeptEntriesContract, effects, seen
from tests.contracts.views import ACTIVITY_HOURS, HOUR, ViewsContract
from tests.support.servers import ask


class TestRedisCellStore(KeptEntriesContract):
    @pytest.fixture(autouse=True)
    def _cells(self, redis_nodes: RedisClient, redis_settings: RedisSettings) -> None:
        self.cells = RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver())
        self.customers = RedisCustomerQueries(redis_nodes, redis_settings, 1_000)


class TestRedisViews(ViewsContract):
    @pytest.fixture(autouse=True)
    def _views(self, redis_nodes: RedisClient, redis_settings: RedisSettings) -> None:
        self.views = RedisViews(
            redis_nodes, redis_settings, listed_sessions_max=3, activity_retention_hours=ACTIVITY_HOURS
        )
        self.products = RedisProductQueries(redis_nodes, redis_settings, listed_sessions_max=3)
        self.nodes, self.rules, self.namespace = redis_nodes, redis_settings, redis_settings.namespace

    def test_old_hours_are_let_go_of_also_those_of_countries(self) -> None:
        for number, hour in enumerate((HOUR - ACTIVITY_HOURS - 1, HOUR - 1, HOUR)):
            source = SourceRange(0, 1, number, number + 1, Watermark(0, hour * HOUR_MS, 0))
            done = {country: Activity(views=1) for country in ("DE", "FR")}
            deltas = Deltas(
                {MUG: ProductState(1)},
                {(hour, MUG): Activity(views=2)},
                by_country={(hour, country, MUG): counted for country, counted in done.items()},
            )
            self.views.merge(
                [Merge(cell, (source,), part) for cell, part in enumerate(deltas.parts(self.views.view_cells))]
            )
        kept = {name.decode().rpartition("}:")[2] for name in everything(self.nodes, self.namespace)}
        assert {name for name in kept if name.startswith("activity")} == {
            f"activity:{hour}{country}" for hour in (HOUR - 1, HOUR) for country in ("", ":DE", ":FR")
        }
        assert [(one.product_id, one.actions) for one in self.products.trending(TrendingSettings(), None, 9, "FR")] == [
            (MUG, 2)
        ]

    def test_many_old_hours_are_let_go_of_by_the_calls_of_one_merge(self) -> None:
        done = {(hour, f"C{number}", MUG): Activity(views=1) for hour in range(100) for number in range(40)}
        late = Deltas({MUG: ProductState(1)}, {(HOUR, MUG): Activity(views=1)})
        for number, (deltas, hour) in enumerate(((Deltas({MUG: ProductState(1)}, by_country=done), 99), (late, HOUR))):
            source = SourceRange(0, 1, number, number + 1, Watermark(0, hour * HOUR_MS, 0))
            parts = deltas.parts(self.views.view_cells)
            self.views.merge([Merge(cell, (source,), part) for cell, part in enumerate(parts)])
        kept = {name.decode().rpartition("}:")[2] for name in everything(self.nodes, self.namespace)}
        assert {name for name in kept if name.startswith(("activity", "hours"))} == {f"activity:{HOUR}", "hours"}

    def test_a_reader_takes_nothing_of_an_erased_store_for_what_was_merged_since(self) -> None:
        reader = RedisProductQueries(self.nodes, self.rules, listed_sessions_max=3)
        for product, views in ((MUG, 3), (JUG, 50)):  # each time one merge: the hour's version is the same
            self.views.erase()
            self.views.claim(0, 1)
            source = SourceRange(0, 1, 0, 1, Watermark(0, HOUR * HOUR_MS, 0))
            deltas = Deltas({product: ProductState(1)}, {(HOUR, product): Activity(views=views)})
            for cell, part in enumerate(deltas.parts(self.views.view_cells)):
                self.views.merge([Merge(cell, (source,), part)])
            assert [(one.product_id, one.actions) for one in reader.trending(TrendingSettings(), None, 9)] == [
                (product, views)
            ]

    def test_what_was_read_half_when_redis_failed_is_not_taken_for_new(self) -> None:
        source = SourceRange(0, 1, 0, 1, Watermark(0, HOUR * HOUR_MS, 0))
        deltas = Deltas({MUG: ProductState(1)}, {(HOUR, MUG): Activity(views=3)})
        for cell, part in enumerate(deltas.parts(self.views.view_cells)):
            self.views.merge([Merge(cell, (source,), part)])
        nodes = Failing(self.rules)
        reader = RedisProductQueries(nodes, self.rules, listed_sessions_max=3)

        def actions(rules: TrendingSettings) -> list[int]:
            return [one.actions for one in reader.trending(rules, None, 9, max_staleness_ms=60_000)]

        assert actions(TrendingSettings()) == [3]
        nodes.fails = True
        with pytest.raises(Unreachable):
            actions(TrendingSettings(view_weight=2))
        nodes.fails = False
        assert actions(TrendingSettings()) == [3]
        nodes.close()


class Failing(RedisClient):
    """Nodes of which some do not answer when they are asked for activity."""

    fails = False

    def execute(self, requests: Sequence[tuple[Key, Request]], wait: bool = False) -> list[Reply]:
        """Fail when told to."""
        if self.fails and any(":activity:" in key for key, _ in requests):
            raise Unreachable("Redis does not answer")
        return super().execute(requests, wait)


ADA, MUG, JUG = CustomerId("ada"), ProductId("mug"), ProductId("jug")
READER = Watermark(1, 2, 3)


def everything(client: RedisClient, namespace: str) -> dict[bytes, bytes]:
    """All that is in a store."""
    names = [name for listed in client.scan(f"{namespace}:*", 1_000) for name in listed]
    return dict(zip(names, client.execute([(name.decode(), ("DUMP", name)) for name in names]), strict=True))


class TestChecksBeforeWrites:
    """What cannot be done whole is not begun: a Function that fails half way is not rolled back."""

    @pytest.fixture(autouse=True)
    def _store(self, redis_nodes: RedisClient, redis_settings: RedisSettings) -> None:
        self.nodes, self.keys, self.namespace = redis_nodes, Keys(redis_settings.namespace), redis_settings.namespace
        self.groups = redis_settings.view_groups
        self.cells = RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver())
        self.customers = RedisCustomerQueries(redis_nodes, redis_settings, 1_000)
        self.views = RedisViews(redis_nodes, redis_settings, 3, 24 * 14)
        self.products = RedisProductQueries(redis_nodes, redis_settings, 3)
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
        return self.keys.view(view_cell_of(MUG, self.groups), name)

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
        with pytest.raises(UnrecoverableState, match="use another namespace"):
            self.cells.commit([Commit(0, 1, 1, 0, 1, READER, changed)])
        assert everything(self.nodes, self.namespace) == before

    @pytest.mark.parametrize("command", ["SET", "SADD"])
    @pytest.mark.parametrize(
        "name",
        [
            *("products", "totals", "ratings", "hours", "activity:7", "list:mug", "moved"),
            *("countries", "hours:DE", "activity:7:DE"),
        ],
    )
    def test_a_key_of_another_type_leaves_the_views_as_they_are(self, name: str, command: str) -> None:
        ask(self.nodes, self.view(name), "DEL", self.view(name))
        ask(self.nodes, self.view(name), command, self.view(name), "something else")
        before = everything(self.nodes, self.namespace)
        with pytest.raises(UnrecoverableState, match="use another namespace"):
            self.merge()
        assert everything(self.nodes, self.namespace) == before

    @pytest.mark.parametrize("command", ["SET", "SADD"])
    def test_one_list_of_another_type_leaves_all_that_is_counted_as_it_is(self, command: str) -> None:
        """Whichever it is of two. That one is a plain set is seen when it is written to, before all else."""
        cell = view_cell_of(MUG, self.views.view_cells)
        pots = (ProductId(f"pot{number}") for number in range(999))
        pot = next(one for one in pots if view_cell_of(one, self.views.view_cells) == cell)
        deltas = Deltas({MUG: ProductState(1)}, index={(product_id, SessionKey(5)): 9 for product_id in (pot, MUG)})
        for product in (MUG, pot):
            key = self.keys.list(view_cell_of(MUG, self.groups), product)
            ask(self.nodes, key, "DEL", key)
            ask(self.nodes, key, command, key, "something else")
            before = everything(self.nodes, self.namespace)
            with pytest.raises(UnrecoverableState, match="use another namespace"):
                self.views.merge([Merge(cell, (SourceRange(0, 1, 0, 1, READER),), deltas)])
            after = everything(self.nodes, self.namespace)
            if command == "SADD":
                after = {name: value for name, value in after.items() if name in before}
            assert after == before
            ask(self.nodes, key, "DEL", key)

    def test_a_customer_of_another_type_is_not_taken_for_a_new_one(self) -> None:
        key = self.keys.customers(0, [ADA])[0]
        ask(self.nodes, key, "RPUSH", key, "something else")
        with pytest.raises(UnrecoverableState, match="of another type"):
            self.cells.load_customers({0: [ADA]})

    def test_a_customer_whom_somebody_else_wrote_meanwhile_is_theirs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answering = self.nodes.execute

        def ask_and_be_overtaken(requests: Sequence[tuple[str, Request]]) -> list[object]:
            answers = answering(requests)
            monkeypatch.undo()
            self.commit()
            return answers

        monkeypatch.setattr(self.nodes, "execute", ask_and_be_overtaken)
        with pytest.raises(Fenced, match="partition 0 has another owner"):
            self.cells.load_customers({0: [ADA]})

    @pytest.mark.parametrize("stored", ["999999999999999999999", "1.5", "many"])
    def test_a_number_that_could_leave_64_bits_leaves_the_views_as_they_are(self, stored: str) -> None:
        ask(self.nodes, self.view("totals"), "HSET", self.view("totals"), "interactions", stored)
        before = everything(self.nodes, self.namespace)
        with pytest.raises(UnrecoverableState, match="would leave 64 bits"):
            self.merge()
        assert everything(self.nodes, self.namespace) == before

    def test_a_count_that_could_leave_64_bits_leaves_the_cell_as_it_is(self) -> None:
        ask(self.nodes, self.keys.cell(0), "HSET", self.keys.cell(0), "n_applied", "9999999999999999999")
        before = everything(self.nodes, self.namespace)
        with pytest.raises(UnrecoverableState, match="would leave 64 bits"):
            self.commit()
        assert everything(self.nodes, self.namespace) == before

    def test_numbers_beyond_what_floats_hold_are_exact(self) -> None:
        ask(self.nodes, self.view("totals"), "HSET", self.view("totals"), "interactions", 2**53)
        self.merge(interactions=1)
        assert self.products.interactions() == 2**53 + 1

    def test_functions_that_were_lost_are_loaded_again(self) -> None:
        for node in self.nodes.masters():
            node.execute_command("FUNCTION", "FLUSH")
        self.commit()
        self.merge()
        assert self.products.interactions() == 3


def test_reviews_of_who_is_called_like_a_key_are_no_customers(
    redis_settings: RedisSettings, redis_nodes: RedisClient
) -> None:
    cells = RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver())
    odd = CustomerId("x}:customer:y")
    review = Review(odd, MUG, 5, "", 1)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, attrs.evolve(effects(seen(odd)), reviews={(odd, MUG): review}))])
    customers = RedisCustomerQueries(redis_nodes, redis_settings, 1_000)
    assert [one.customer_id for one in customers.scan()] == [odd]


def test_a_store_has_as_many_view_cells_as_it_was_made_with(
    redis_settings: RedisSettings, redis_nodes: RedisClient
) -> None:
    identity = LogIdentity("a", 1, "consistent")
    RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver()).bind(identity)
    others = attrs.evolve(redis_settings, view_cells=redis_settings.view_cells + 8)
    cells = RedisCellStore(redis_nodes, others, 1_000, NoObserver())
    customers = RedisCustomerQueries(redis_nodes, others, 1_000)
    views = RedisProductQueries(redis_nodes, others, listed_sessions_max=3)
    for use in (
        lambda: cells.bind(identity),
        lambda: customers.read_customer(ADA),
        lambda: views.trending(TrendingSettings(), None, 9),
        lambda: views.sessions_of([MUG], 9),
        lambda: views.products([MUG]),
        lambda: views.top_rated(1.0, 9),
    ):
        with pytest.raises(WrongLog, match=rf"set redis\.view_cells = {redis_settings.view_cells}"):
            use()


def test_a_store_that_says_nothing_of_how_it_lies_is_older_and_refused(
    redis_settings: RedisSettings, redis_nodes: RedisClient
) -> None:
    identity, meta = LogIdentity("a", 1, "consistent"), Keys(redis_settings.namespace).meta
    cells = RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver())
    customers = RedisCustomerQueries(redis_nodes, redis_settings, 1_000)
    views = RedisProductQueries(redis_nodes, redis_settings, listed_sessions_max=3)
    ask(redis_nodes, meta, "HSET", meta, "built_from", "a/1/consistent", "view_cells", redis_settings.view_cells)
    for use in (
        lambda: cells.bind(identity),
        lambda: customers.read_customer(ADA),
        lambda: views.trending(TrendingSettings(), None, 9),
        lambda: views.sessions_of([MUG], 9),
        lambda: views.products([MUG]),
        lambda: views.top_rated(1.0, 9),
    ):
        with pytest.raises(WrongLog, match="made by another version"):
            use()


def test_thousands_of_sessions_can_be_asked_for_at_once(
    redis_settings: RedisSettings, redis_nodes: RedisClient
) -> None:
    cells = RedisCellStore(redis_nodes, redis_settings, 1_000, NoObserver())
    session = Session(session_key(0, 8_999), None, 1, 2)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, READER, attrs.evolve(effects(seen(ADA)), sessions={session.key: session}))])
    customers = RedisCustomerQueries(redis_nodes, redis_settings, 1_000)
    assert customers.session_summaries([session_key(0, position) for position in range(9_000)]) == {
        session.key: session.summary()
    }
