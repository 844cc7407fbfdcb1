"""Workers of two releases on one store in Redis: the older release does not touch what it cannot read."""

import re
from typing import Any

import msgspec
import pytest

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas, view_cell_of
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.functions import LIBRARY, library
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import CLAIM_LAYOUT, LAYOUT, RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import effects, seen
from tests.contracts.views import ACTIVITY_HOURS
from tests.support import servers
from tests.support.redis_dump import dump

ADA, MUG = CustomerId("ada"), ProductId("mug")
MARK = Watermark(1, 2, 3, 4)
NUMBER = LIBRARY.rpartition("_")[2]


class Store:
    """An empty store, and the writes of a worker of this release."""

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self.client, self.settings, self.keys = client, settings, Keys(settings.namespace)
        self.cells = RedisCellStore(client, settings, 1_000, NoObserver())
        self.customers = RedisCustomerQueries(client, settings, 1_000)
        self.products = RedisProductQueries(client, settings, listed_sessions_max=3)
        self.views = RedisViews(client, settings, listed_sessions_max=3, activity_retention_hours=ACTIVITY_HOURS)
        self.group = view_cell_of(MUG, settings.view_groups)

    def ask(self, key: str, *request: str | int | bytes) -> Any:
        return self.client.execute([(key, request)])[0]

    def view(self, name: str) -> str:
        return self.keys.view(self.group, name)

    def merge(self, from_position: int = 0) -> None:
        source = SourceRange(0, 1, from_position, from_position + 1, MARK)
        parts = Deltas({MUG: ProductState(1)}).parts(self.views.view_cells)
        self.views.merge([Merge(cell, (source,), part) for cell, part in enumerate(parts)])

    def commit(self, number: int = 1) -> None:
        self.cells.commit([Commit(0, 1, number, number - 1, number, MARK, effects(seen(ADA)))])


@pytest.fixture
def store(redis_client: RedisClient, redis_settings: RedisSettings) -> Store:
    return Store(redis_client, redis_settings)


def test_a_store_of_a_newer_layout_is_neither_processed_nor_read(store: Store) -> None:
    identity, meta = LogIdentity("a", 1, "consistent"), store.keys.meta
    store.cells.bind(identity)
    store.ask(meta, "HSET", meta, "layout", LAYOUT + 1)
    reader = Store(store.client, store.settings)
    before = dump(store.client, store.settings.namespace)
    for use in (
        lambda: store.cells.bind(identity),
        lambda: reader.customers.read_customer(ADA),
        lambda: reader.products.products([MUG]),
        lambda: reader.products.trending(TrendingSettings(), None, 9),
    ):
        with pytest.raises(NewerRelease, match=rf"\(layout {LAYOUT + 1}, this release has {LAYOUT}\): upgrade this"):
            use()
    assert dump(store.client, store.settings.namespace) == before


def test_a_cell_claimed_by_a_newer_release_is_not_claimed(store: Store) -> None:
    cell = store.keys.cell(0)
    store.cells.claim(0, 1)
    store.commit()
    assert store.ask(cell, "HGET", cell, "layout") == b"%d" % CLAIM_LAYOUT
    store.ask(cell, "HSET", cell, "layout", CLAIM_LAYOUT + 1)
    before = dump(store.client, store.settings.namespace)
    with pytest.raises(NewerRelease, match="upgrade this program"):
        store.cells.claim(0, 2)
    assert dump(store.client, store.settings.namespace) == before


def test_view_cells_claimed_by_a_newer_release_are_neither_claimed_nor_merged(store: Store) -> None:
    """A worker of this release that has claimed them before is refused, too."""
    store.views.claim(0, 1)
    store.merge()
    assert store.ask(store.view("totals"), "HGET", store.view("totals"), "layout") == b"%d" % CLAIM_LAYOUT
    for group in range(store.settings.view_groups):
        store.ask(store.keys.view(group, "totals"), "HSET", store.keys.view(group, "totals"), "layout", 99)
    before = dump(store.client, store.settings.namespace)
    with pytest.raises(NewerRelease, match="layout 99"):
        store.merge(1)
    with pytest.raises(NewerRelease, match="layout 99"):
        store.views.claim(0, 2)
    assert dump(store.client, store.settings.namespace) == before


def test_cells_and_views_without_a_layout_are_claimed(store: Store) -> None:
    store.cells.claim(0, 1)
    store.commit()
    store.views.claim(0, 1)
    store.merge()
    for key in (store.keys.cell(0), *(store.keys.view(group, "totals") for group in range(store.settings.view_groups))):
        store.ask(key, "HDEL", key, "layout")
    assert store.cells.claim(0, 2).position == 1
    assert set(store.views.claim(0, 2)) == {1}


def test_a_merge_keeps_the_elements_that_a_newer_release_appended_to_a_product(store: Store) -> None:
    store.views.claim(0, 1)
    store.merge()
    key = store.view("products")
    row = msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug"))
    store.ask(key, "HSET", key, "mug", msgspec.msgpack.encode([*row, "brand", 5]))
    store.merge(1)
    assert msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug")) == [2, *row[1:], "brand", 5]
    assert store.products.products([MUG])[MUG].interactions == 2


def test_a_merge_keeps_the_elements_that_a_newer_release_appended_to_a_listing(store: Store) -> None:
    store.views.claim(0, 1)
    for number, value in enumerate(("5", "7")):
        listing = Listing({"stock": (value, 10 + number)})
        source = SourceRange(0, 1, number, number + 1, MARK)
        parts = Deltas(listings={MUG: listing}).parts(store.settings.view_cells)
        store.views.merge([Merge(cell, (source,), part) for cell, part in enumerate(parts)])
        key = store.view("listings")
        row = msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug"))
        store.ask(key, "HSET", key, "mug", msgspec.msgpack.encode([*row[:2], "supplier"]))
    assert msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug")) == [{"stock": ["7", 11]}, 0, "supplier"]
    assert row[2:] == ["supplier"]
    assert store.products.listings([MUG]) == {MUG: Listing({"stock": ("7", 11)})}


def test_numbers_that_a_newer_release_appended_to_a_source_are_ignored(store: Store) -> None:
    store.views.claim(0, 1)
    store.merge()
    for cell in range(store.settings.view_cells):
        key = store.keys.sources(cell % store.settings.view_groups, cell)
        store.ask(key, "HSET", key, 0, "1 1 1 2 3 4 more")
    assert store.products.watermarks() == {0: MARK}
    assert store.views.positions([0]) == {0: (1,) * store.settings.view_cells}


def test_an_outbox_entry_of_a_newer_release_stays(store: Store) -> None:
    store.cells.claim(0, 1)
    store.commit()
    outbox = store.keys.outbox(0)
    ((number, fields),) = store.ask(outbox, "XRANGE", outbox, "-", "+")
    more = msgspec.msgpack.encode(msgspec.msgpack.decode(fields[b"entry"]) | {"format": [5, 5], "windows": [1]})
    store.ask(outbox, "DEL", outbox)
    store.ask(outbox, "XADD", outbox, number, "entry", more)
    with pytest.raises(NewerRelease, match="a kept entry was written by a newer release"):
        list(store.cells.outbox(0, 0))
    assert store.ask(outbox, "XLEN", outbox) == 1


def test_every_function_has_the_number_of_the_library() -> None:
    names = re.findall(r"register_function[({](?:function_name = )?'(\w+)'", library())
    assert len(names) == 8
    assert [name for name in names if not name.startswith(f"rp{NUMBER}_")] == []


@pytest.mark.parametrize("other", ["9", "99"])
def test_functions_of_two_releases_are_loaded_side_by_side(other: str) -> None:
    """In any order: a worker loads its own Functions, and neither replaces nor deletes those of the other release."""
    others = library().replace(LIBRARY, f"realtime_pipeline_{other}").replace(f"rp{NUMBER}_", f"rp{other}_")
    client = RedisClient(RedisSettings(nodes=servers.redis_address_with(), namespace=servers.unique("test")))
    client.execute([("", ("FUNCTION", "LOAD", others))])
    client.check()
    listed = {found[1].decode() for found in client.execute([("", ("FUNCTION", "LIST"))])[0]}
    assert listed == {LIBRARY, f"realtime_pipeline_{other}"}
    keys = Keys(servers.unique("test"))
    claims = [
        ("FCALL", f"rp{name}_claim", 2, keys.cell(0), keys.outbox(0), epoch, LAYOUT)
        for epoch, name in ((1, other), (2, NUMBER))
    ]
    assert [client.execute([(keys.cell(0), claim)])[0][0] for claim in claims] == [b"OK", b"OK"]
    client.close()
