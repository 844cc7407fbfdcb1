"""Streams of others as a source, on a real server and on a cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.source import Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.contracts.source import SourceContract
from tests.support import servers
from tests.support.bridges import expected_ids, ids_by_customer, preparing, view
from tests.support.histories import embedded
from tests.support.streams import Streams, read_all

pytestmark = pytest.mark.xdist_group("redis-streams")

WAIT_S = 10.0


class TestRedisStreamSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _streams(self) -> Iterator[None]:
        self.streams = Streams()
        yield
        self.streams.client.close()

    def source(self) -> Source:
        return self.streams.source()

    def fill(self, *names: str) -> None:
        self.streams.add(*(f'{{"name":"{name}"}}' for name in names))

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, bytes)
        return str(msgspec.json.decode(record.value)["name"])


class TestRedisStreamSourceThatTrims(TestRedisStreamSource):
    def source(self) -> Source:
        return self.streams.source(trim=True)


class TestRedisStreamSourceOnACluster(TestRedisStreamSource):
    @pytest.fixture(autouse=True)
    def _streams(self) -> Iterator[None]:
        self.streams = Streams(3, nodes=servers.redis_cluster_address(), cluster=True)
        yield
        self.streams.client.close()


def test_all_fields_are_the_document(streams: Streams) -> None:
    streams.do("XADD", "5-1", "type", "view", "shop", "Café".encode(), "count", 3)
    source = streams.source(field="")
    source.open({})
    batch = source.read(10, 0.0)
    assert batch is not None
    (record,) = batch.records
    assert record.value == {"type": "view", "shop": "Café", "count": "3"}
    assert record.id == record.origin == f"{streams.settings.keys[0]}:5-1"
    assert batch.positions == {streams.settings.keys[0]: "5-1/1"}
    source.close()


def test_what_cannot_be_read_says_why(streams: Streams, source: RedisStreamSource) -> None:
    streams.do("XADD", "*", "name", b"\xff\xfe", "b", "c")
    source.open({})
    assert read_all(source)[0] == [Unreadable("the entry has no field json", b"name=\xff\xfe\nb=c")]
    documents = streams.source(field="")
    documents.open({})
    assert read_all(documents)[0] == [Unreadable("a field of the entry is not UTF-8", b"name=\xff\xfe\nb=c")]
    documents.close()


@pytest.mark.parametrize("records_max", [1, 2, 7, 2_000])
def test_several_streams_are_read_each_in_its_order(records_max: int) -> None:
    streams = Streams(3, nodes=servers.redis_cluster_address(), cluster=True)
    for number in range(30):
        streams.add(b"%d" % number, key=number % 3 if number < 15 else 0)
    source = streams.source()
    source.open({})
    found = dict[str, list[object]]()
    while (batch := source.read(records_max, 0.0)) is not None:
        assert len(batch.records) <= records_max
        for record in batch.records:
            found.setdefault(record.origin.partition(":")[0], []).append(record.value)
    assert [found[key] for key in streams.settings.keys] == [
        [b"%d" % number for number in range(30) if (number % 3 if number < 15 else 0) == key] for key in range(3)
    ]
    source.close()
    streams.client.close()


def test_nothing_is_deleted_unless_trim_is_set(streams: Streams, source: RedisStreamSource) -> None:
    streams.add("a", "b", "c")
    source.open({})
    _, positions = read_all(source)
    source.acknowledge(positions)
    assert streams.do("XLEN") == 3
    trimming = streams.source(trim=True)
    trimming.open(positions)
    trimming.acknowledge(positions)
    assert streams.do("XLEN") == 1
    streams.add("d")
    assert read_all(trimming)[0] == [b"d"]
    trimming.close()


def test_the_lag_counts_the_entries_behind(streams: Streams, source: RedisStreamSource) -> None:
    streams.add(*"abcde")
    source.open({})
    assert source.lag() == "5 entries"
    assert source.read(2, 0.0) is not None
    assert source.lag() == "3 entries"


def test_a_stream_that_does_not_exist_yet_is_waited_for(streams: Streams, source: RedisStreamSource) -> None:
    source.open({})
    assert source.read(10, 0.05) is None
    streams.add("a")
    assert read_all(source)[0] == [b"a"]


def test_large_entries_are_read_in_batches_of_some_megabytes(streams: Streams, source: RedisStreamSource) -> None:
    for _ in range(40):
        streams.add(b"x" * 1_000_000)
    source.open({})
    sizes = list[int]()
    while (batch := source.read(2_000, 0.0)) is not None:
        sizes.append(len(batch.records))
    assert sum(sizes) == 40
    assert max(sizes) < 20


def test_catching_up_publishes_what_is_there(streams: Streams, tmp_path: Path) -> None:
    streams.add(*(view(number) for number in range(50)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        source = streams.source(trim=True)
        runs = [pipeline.container.run_source().catch_up(source, preparing(pipeline)) for _ in range(2)]
        assert [run.published for run in runs] == [50, 0]
        assert ids_by_customer(pipeline) == expected_ids(range(50))
        assert streams.do("XLEN") == 1


@pytest.mark.parametrize(
    "change", [{"keys": ()}, {"keys": ("a", "a")}, {"keys": ("",)}, {"nodes": "here"}, {"request_timeout_ms": 0}]
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|are written"):
        attrs.evolve(RedisStreamSettings(("others",)), **change)
