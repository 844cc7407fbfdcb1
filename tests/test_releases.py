"""Every release reads what earlier ones have written: stores, kept entries, and records of the log.

Each folder of tests/releases holds the stores of a release, as `python -m harness release-fixture` wrote them.
"""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import redis

from harness.commands.release_fixture import (
    APART,
    EMBEDDED,
    KEYS,
    LOG,
    append,
    later_events,
    opened,
    records_in,
    restore_keys,
    settings_for,
    unpack,
    write_fixture,
)
from harness.support.errors import HarnessError
from realtime_pipeline import AnalyticsSettings, Pipeline, Settings
from realtime_pipeline.domain.shop.events import EventKind
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from tests.support import servers
from tests.support.histories import differences

RELEASES = sorted(path for path in Path(__file__).with_name("releases").iterdir() if path.is_dir())
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)


@pytest.fixture(params=["embedded", "apart"])
def store(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Iterator[Pipeline]:
    """A store of a release, opened by this one: in SQLite, or in Redis with its log beside it."""
    database, rules = tmp_path / "shop.db", None
    unpack(release / (EMBEDDED if request.param == "embedded" else APART), database)
    if request.param == "apart":
        rules = servers.redis_settings()
        host, port = rules.endpoints()[0]
        with redis.Redis(host, port) as client:
            restore_keys(release / KEYS, client, rules.namespace)
    with opened(settings_for(database, rules)) as pipeline:
        yield pipeline


@each_release
def test_a_store_of_a_release_is_read_by_this_one(release: Path, store: Pipeline) -> None:
    ada = store.profile("ada").customer
    # 3 mugs less 1, and the lamp of the visitor
    assert (ada.purchases.spend, ada.purchases.units) == (250_000 + 300_000, 2 + 1)
    assert ada.visits.counts[EventKind.PRODUCT_VIEWED] == 3 + 2 + 1  # her own, the visitor's, and after the sign-in
    assert ada.visits.country is not None
    assert ada.visits.country[0] == "DE"
    assert [entry.rating for entry in store.container.customer_queries().reviews(ada.customer_id)] == [4]
    assert store.trending(1)[0].product.product_id == "lamp"  # bought; the purchase of mugs was cancelled
    assert store.recommend("cyd", 5)
    counts = store.container.customer_queries().counts()
    assert (counts[RecordClass.IGNORED], counts[RecordClass.DUPLICATE]) == (1, 1)


@each_release
def test_a_store_of_a_release_is_gone_on_with(release: Path, store: Pipeline) -> None:
    """It holds what a batch computation makes of the whole log: also what was handed on, or owed to the views."""
    store.process()
    assert differences(store) == []
    bob = store.profile("bob").customer
    assert bob.purchases.spend == 400_000  # what the visitor bought, whose profile the earlier release has written
    assert [letter.reason.partition(":")[0] for letter in store.dead_letters()] == [
        "not_json",
        "invalid_price",
        "not_an_event",
    ]
    append(store, later_events())
    assert store.process()[RecordClass.DUPLICATE] == 2
    assert differences(store) == []
    assert store.profile("ada").customer.purchases.spend == 550_000 + 72_500 - 125_000


@each_release
def test_shipped_windows_count_from_this_release_on_and_a_rebuild_counts_all(release: Path, tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    unpack(release / EMBEDDED, database)
    with opened(attrs.evolve(settings_for(database), analytics=AnalyticsSettings())) as pipeline:
        pipeline.process()
        assert pipeline.windows("gmv_per_minute").items == []
        append(pipeline, later_events())
        pipeline.process()
        sale, refund = later = list(pipeline.windows("gmv_per_minute").items)
        assert (sale.values["gross"], refund.values["net"]) == (7.25, -12.5)
        pipeline.container.rebuild_store()()
        pipeline.process()
        assert differences(pipeline) == []
        items = list(pipeline.windows("gmv_per_minute").items)
        assert len(items) > len(later)
        assert items[-2:] == later


@each_release
def test_a_log_of_a_release_is_folded_by_this_one(release: Path) -> None:
    with opened(Settings(partitions=2, log="memory", store="memory")) as pipeline:
        log = pipeline.container.memory_log()
        assert isinstance(log, MemoryLog)
        for record in records_in(release / LOG):
            log.records[record.partition].append(record)
        pipeline.process()
        found = differences(pipeline)  # this worker writes down again what the release's worker had
        assert [entry for entry in found if not entry.endswith("2 times in the log")] == []
        assert pipeline.profile("bob").customer.purchases.spend == 400_000


def test_a_release_writes_its_stores_once(tmp_path: Path) -> None:
    servers.redis_address()  # or the test is skipped
    assert set(write_fixture(tmp_path)) == {EMBEDDED, APART, KEYS, LOG}
    with pytest.raises(HarnessError, match="has a release's stores already"):
        write_fixture(tmp_path)
