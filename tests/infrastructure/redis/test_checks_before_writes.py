"""A commit or merge that cannot be written whole writes nothing: Redis does not roll a Function back."""

from collections.abc import Sequence

import pytest

from realtime_pipeline.application.errors import Fenced, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.profile.session import Session, SessionKey, session_key
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import effects, seen
from tests.support.redis_dump import dump
from tests.support.servers import ask

ADA, MUG = CustomerId("ada"), ProductId("mug")
MARK = Watermark(1, 2, 3)


class TestChecksBeforeWrites:
    """Keys of another type, counts that leave 64 bits, and owners that were fenced."""

    @pytest.fixture(autouse=True)
    def _store(self, redis_client: RedisClient, redis_settings: RedisSettings) -> None:
        self.client, self.keys, self.namespace = redis_client, Keys(redis_settings.namespace), redis_settings.namespace
        self.groups = redis_settings.view_groups
        self.cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
        self.customers = RedisCustomerQueries(redis_client, redis_settings, 1_000)
        self.views = RedisViews(redis_client, redis_settings, 3, 24 * 14)
        self.products = RedisProductQueries(redis_client, redis_settings, 3)
        self.cells.claim(0, 1)
        self.views.claim(0, 1)

    def commit(self) -> None:
        session = Session(session_key(0, 3), "s", 5, 9, 1, {MUG: (9, 1)})
        changed = effects(
            seen(ADA), sessions=(session,), reviews=(Review(ADA, MUG, 4, "fine", 9),), tombstones={ADA: 1}
        )
        self.cells.commit([Commit(0, 1, 1, 0, 1, MARK, changed)])

    def merge(self, interactions: int = 3) -> None:
        deltas = Deltas(
            {MUG: ProductState(interactions, 1, 4, name=("Mug", 9), price=(5, 9))},
            {(7, MUG): Activity(views=1, carts=1)},
            {(MUG, SessionKey(5)): 9},
            {(7, "DE", MUG): Activity(views=1)},
        )
        cell = view_cell_of(MUG, self.views.view_cells)
        self.views.merge([Merge(cell, (SourceRange(0, 1, 0, 1, MARK),), deltas)])

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
        ask(self.client, key, "SET", key, "something else")
        before = dump(self.client, self.namespace)
        bobs = Review(CustomerId("bob"), MUG, 4, "fine", 9)
        session = Session(session_key(0, 3), "s", 5, 9)
        changed = effects(seen(ADA), sessions=(session,), reviews=(bobs,), tombstones={ADA: 1})
        with pytest.raises(UnrecoverableState, match="use another namespace"):
            self.cells.commit([Commit(0, 1, 1, 0, 1, MARK, changed)])
        assert dump(self.client, self.namespace) == before

    @pytest.mark.parametrize("command", ["SET", "SADD"])
    @pytest.mark.parametrize(
        "name",
        [
            *("products", "totals", "ratings", "hours", "activity:7", "list:mug", "moved"),
            *("countries", "hours:DE", "activity:7:DE"),
        ],
    )
    def test_a_key_of_another_type_leaves_the_views_as_they_are(self, name: str, command: str) -> None:
        ask(self.client, self.view(name), "DEL", self.view(name))
        ask(self.client, self.view(name), command, self.view(name), "something else")
        before = dump(self.client, self.namespace)
        with pytest.raises(UnrecoverableState, match="use another namespace"):
            self.merge()
        assert dump(self.client, self.namespace) == before

    @pytest.mark.parametrize("command", ["SET", "SADD"])
    def test_a_list_of_another_type_leaves_all_counts_as_they_are(self, command: str) -> None:
        """Either of two lists. A plain set is found by the first write, which is to the lists."""
        cell = view_cell_of(MUG, self.views.view_cells)
        pots = (ProductId(f"pot{number}") for number in range(999))
        pot = next(product for product in pots if view_cell_of(product, self.views.view_cells) == cell)
        deltas = Deltas({MUG: ProductState(1)}, index={(product_id, SessionKey(5)): 9 for product_id in (pot, MUG)})
        for product in (MUG, pot):
            key = self.keys.list(view_cell_of(MUG, self.groups), product)
            ask(self.client, key, "DEL", key)
            ask(self.client, key, command, key, "something else")
            before = dump(self.client, self.namespace)
            with pytest.raises(UnrecoverableState, match="use another namespace"):
                self.views.merge([Merge(cell, (SourceRange(0, 1, 0, 1, MARK),), deltas)])
            after = dump(self.client, self.namespace)
            if command == "SADD":
                after = {name: value for name, value in after.items() if name in before}
            assert after == before
            ask(self.client, key, "DEL", key)

    def test_a_customer_key_of_another_type_is_no_new_customer(self) -> None:
        key = self.keys.customers(0, [ADA])[0]
        ask(self.client, key, "RPUSH", key, "something else")
        with pytest.raises(UnrecoverableState, match="of another type"):
            self.cells.load_customers({0: [ADA]})

    def test_a_customer_that_another_owner_writes_meanwhile_fences_the_load(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answering = self.client.execute

        def ask_and_be_overtaken(requests: Sequence[tuple[str, Request]]) -> list[object]:
            answers = answering(requests)
            monkeypatch.undo()
            self.commit()
            return answers

        monkeypatch.setattr(self.client, "execute", ask_and_be_overtaken)
        with pytest.raises(Fenced, match="partition 0 has another owner"):
            self.cells.load_customers({0: [ADA]})

    @pytest.mark.parametrize("stored", ["999999999999999999999", "1.5", "many"])
    def test_a_number_that_could_leave_64_bits_leaves_the_views_as_they_are(self, stored: str) -> None:
        ask(self.client, self.view("totals"), "HSET", self.view("totals"), "interactions", stored)
        before = dump(self.client, self.namespace)
        with pytest.raises(UnrecoverableState, match="would leave 64 bits"):
            self.merge()
        assert dump(self.client, self.namespace) == before

    def test_a_count_that_could_leave_64_bits_leaves_the_cell_as_it_is(self) -> None:
        ask(self.client, self.keys.cell(0), "HSET", self.keys.cell(0), "n_applied", "9999999999999999999")
        before = dump(self.client, self.namespace)
        with pytest.raises(UnrecoverableState, match="would leave 64 bits"):
            self.commit()
        assert dump(self.client, self.namespace) == before

    def test_numbers_beyond_what_floats_hold_are_exact(self) -> None:
        ask(self.client, self.view("totals"), "HSET", self.view("totals"), "interactions", 2**53)
        self.merge(interactions=1)
        assert self.products.interactions() == 2**53 + 1

    def test_lost_functions_are_loaded_again(self) -> None:
        for node in self.client.masters():
            node.execute_command("FUNCTION", "FLUSH")
        self.commit()
        self.merge()
        assert self.products.interactions() == 3
