"""Workers of two releases on one store in Redis: what the newer one keeps otherwise, the older one leaves alone."""

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
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import LAYOUT, RedisSettings
from realtime_pipeline.infrastructure.redis.views import RedisViews
from tests.contracts.cell_store import effects, seen
from tests.contracts.views import ACTIVITY_HOURS
from tests.infrastructure.redis.test_redis import everything
from tests.support import servers

ADA, MUG = CustomerId("ada"), ProductId("mug")
MARK = Watermark(1, 2, 3, 4)
LIBRARY = (servers.ROOT / "src/realtime_pipeline/infrastructure/redis/functions.lua").read_text("utf-8")
OWN = LIBRARY.partition("name=")[2].partition("\n")[0]


class Store:
    """An empty store, with what a worker of this release does to it."""

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self.nodes, self.rules, self.keys = client, settings, Keys(settings.namespace)
        self.cells = RedisCellStore(client, settings, 1_000, NoObserver())
        self.views = RedisViews(client, settings, listed_sessions_max=3, activity_retention_hours=ACTIVITY_HOURS)
        self.group = view_cell_of(MUG, settings.view_groups)

    def ask(self, key: str, *request: str | int | bytes) -> Any:
        return self.nodes.execute([(key, request)])[0]

    def view(self, name: str) -> str:
        return self.keys.view(self.group, name)

    def merge(self, from_position: int = 0) -> None:
        source = SourceRange(0, 1, from_position, from_position + 1, MARK)
        parts = Deltas({MUG: ProductState(1)}).parts(self.views.view_cells)
        self.views.merge([Merge(cell, (source,), part) for cell, part in enumerate(parts)])

    def commit(self, number: int = 1) -> None:
        self.cells.commit([Commit(0, 1, number, number - 1, number, MARK, effects(seen(ADA)))])


@pytest.fixture
def store(redis_nodes: RedisClient, redis_settings: RedisSettings) -> Store:
    return Store(redis_nodes, redis_settings)


def test_a_store_of_a_newer_layout_is_neither_processed_nor_read(store: Store) -> None:
    identity, meta = LogIdentity("a", 1, "consistent"), store.keys.meta
    store.cells.bind(identity)
    store.ask(meta, "HSET", meta, "layout", LAYOUT + 1)
    reader = Store(store.nodes, store.rules)
    before = everything(store.nodes, store.rules.namespace)
    for use in (
        lambda: store.cells.bind(identity),
        lambda: reader.cells.read_customer(ADA),
        lambda: reader.views.products([MUG]),
        lambda: reader.views.trending(TrendingSettings(), None, 9),
    ):
        with pytest.raises(NewerRelease, match=rf"\(layout {LAYOUT + 1}, this release has {LAYOUT}\): upgrade this"):
            use()
    assert everything(store.nodes, store.rules.namespace) == before


def test_a_cell_that_a_newer_release_has_claimed_is_left_to_it(store: Store) -> None:
    cell = store.keys.cell(0)
    store.cells.claim(0, 1)
    store.commit()
    assert store.ask(cell, "HGET", cell, "layout") == b"%d" % LAYOUT
    store.ask(cell, "HSET", cell, "layout", LAYOUT + 1)
    before = everything(store.nodes, store.rules.namespace)
    with pytest.raises(NewerRelease, match="upgrade this program"):
        store.cells.claim(0, 2)
    assert everything(store.nodes, store.rules.namespace) == before


def test_view_cells_that_a_newer_release_has_claimed_are_left_to_it(store: Store) -> None:
    """Also by a worker that had claimed them before."""
    store.views.claim(0, 1)
    store.merge()
    assert store.ask(store.view("totals"), "HGET", store.view("totals"), "layout") == b"%d" % LAYOUT
    for group in range(store.rules.view_groups):
        store.ask(store.keys.view(group, "totals"), "HSET", store.keys.view(group, "totals"), "layout", 99)
    before = everything(store.nodes, store.rules.namespace)
    with pytest.raises(NewerRelease, match="layout 99"):
        store.merge(1)
    with pytest.raises(NewerRelease, match="layout 99"):
        store.views.claim(0, 2)
    assert everything(store.nodes, store.rules.namespace) == before


def test_cells_and_views_of_releases_that_said_no_layout_are_taken_over(store: Store) -> None:
    store.cells.claim(0, 1)
    store.commit()
    store.views.claim(0, 1)
    store.merge()
    for key in (store.keys.cell(0), *(store.keys.view(group, "totals") for group in range(store.rules.view_groups))):
        store.ask(key, "HDEL", key, "layout")
    assert store.cells.claim(0, 2).position == 1
    assert set(store.views.claim(0, 2)) == {1}


def test_what_a_newer_release_has_added_to_a_product_outlives_a_merge(store: Store) -> None:
    store.views.claim(0, 1)
    store.merge()
    key = store.view("products")
    row = msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug"))
    store.ask(key, "HSET", key, "mug", msgspec.msgpack.encode([*row, "brand", 5]))
    store.merge(1)
    assert msgspec.msgpack.decode(store.ask(key, "HGET", key, "mug")) == [2, *row[1:], "brand", 5]
    assert store.views.products([MUG])[MUG].interactions == 2


def test_what_a_newer_release_says_of_a_source_is_passed_over(store: Store) -> None:
    store.views.claim(0, 1)
    store.merge()
    for cell in range(store.rules.view_cells):
        key = store.keys.sources(cell % store.rules.view_groups, cell)
        store.ask(key, "HSET", key, 0, "1 1 1 2 3 4 more")
    assert store.views.watermarks() == {0: MARK}
    assert store.views.positions([0]) == {0: (1,) * store.rules.view_cells}


def test_a_kept_entry_that_says_more_than_is_read_stays_where_it_is(store: Store) -> None:
    store.cells.claim(0, 1)
    store.commit()
    outbox = store.keys.outbox(0)
    ((number, fields),) = store.ask(outbox, "XRANGE", outbox, "-", "+")
    more = msgspec.msgpack.encode(msgspec.msgpack.decode(fields[b"entry"]) | {"format": [3, 3], "windows": [1]})
    store.ask(outbox, "DEL", outbox)
    store.ask(outbox, "XADD", outbox, number, "entry", more)
    with pytest.raises(NewerRelease, match="a kept entry was written by a newer release"):
        list(store.cells.outbox(0, 0))
    assert store.ask(outbox, "XLEN", outbox) == 1


@pytest.mark.parametrize("other", ["8", "99"])
def test_functions_of_two_releases_lie_beside_each_other(other: str) -> None:
    """Whichever came first: a worker loads its own, and neither replaces nor deletes those of the other."""
    number = OWN.rpartition("_")[2]
    others = LIBRARY.replace(OWN, f"realtime_pipeline_{other}").replace(f"rp{number}_", f"rp{other}_")
    nodes = RedisClient(RedisSettings(nodes=servers.redis_place_that(), namespace=servers.unique("test")))
    nodes.execute([("", ("FUNCTION", "LOAD", others))])
    nodes.check()
    listed = {library[1].decode() for library in nodes.execute([("", ("FUNCTION", "LIST"))])[0]}
    assert listed == {OWN, f"realtime_pipeline_{other}"}
    keys = Keys(servers.unique("test"))
    claims = [
        ("FCALL", f"rp{name}_claim", 2, keys.cell(0), keys.outbox(0), epoch, LAYOUT)
        for epoch, name in ((1, other), (2, number))
    ]
    assert [nodes.execute([(keys.cell(0), claim)])[0][0] for claim in claims] == [b"OK", b"OK"]
    nodes.close()
