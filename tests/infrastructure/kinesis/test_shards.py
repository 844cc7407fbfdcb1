"""Shards that are split and merged, idle or throttled: a shard is read after its parents."""

import time

import pytest

from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.support.kinesis_streams import HOUR_MS, SHARD, Moto, read_all
from tests.support.kinesis_stub import StubStream

pytestmark = pytest.mark.xdist_group("kinesis")


def test_all_shards_are_read() -> None:
    many = Moto(shards=4)
    for number in range(40):
        many.client.put_record(StreamName=many.name, Data=b"%d" % number, PartitionKey=f"key-{number}")
    source = many.source()
    source.open({})
    values, positions = read_all(source, records_max=3)
    assert sorted(values, key=str) == sorted((b"%d" % number for number in range(40)), key=str)
    assert len(positions) == 4
    source.open(positions)
    assert read_all(source)[0] == []
    source.close()
    many.client.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_children_are_read_after_their_parents(stub: StubStream, source: KinesisSource, reopened: bool) -> None:
    """A split, then a merge of its children: records of one key stay in order."""
    stub.put(b"1", b"2")
    source.open({})
    values, positions = read_all(source)
    stub.put(b"3", b"4", b"5")
    stub.replace(0, children=2)
    stub.put(b"6", shard=2)
    stub.put(b"6", shard=1)
    stub.replace(1, 2, children=1)
    stub.put(b"7", b"8", shard=3)
    if reopened:
        source.open(positions)
    more, later = read_all(source, records_max=2)
    assert values + more == [b"1", b"2", b"3", b"4", b"5", b"6", b"6", b"7", b"8"]
    assert [later[f"shardId-{number:012}"].partition("@")[0] for number in range(3)] == ["ended"] * 3
    source.open(positions | later)
    stub.put(b"9", shard=3)
    assert read_all(source)[0] == [b"9"]


def test_a_child_waits_for_its_parent_in_every_batch(stub: StubStream, source: KinesisSource) -> None:
    stub.put(*(b"%d" % number for number in range(10)))
    stub.replace(0, children=1)
    stub.put(b"child", shard=1)
    source.open({})
    values = list[object]()
    while (batch := source.read(1, 0.0)) is not None:
        values += [record.value for record in batch.records]
        is_child_read = b"child" in values
        assert is_child_read <= (len(values) == 11)
    assert values == [b"%d" % number for number in range(10)] + [b"child"]


def test_a_merged_shard_waits_for_both_parents(stub: StubStream, source: KinesisSource) -> None:
    stub.replace(0, children=2)
    stub.put(b"left", shard=1)
    stub.put(*[b"right"] * 5, shard=2)
    stub.replace(1, 2, children=1)
    stub.put(b"merged", shard=3)
    source.open({})
    assert read_all(source, records_max=1)[0][-1] == b"merged"


def test_an_expired_iterator_is_made_again(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a", b"b")
    source.open({})
    assert source.read(1, 0.0) is not None
    stub.expire_iterators()
    batch = source.read(2, 2.0)
    assert batch is not None
    assert [record.value for record in batch.records] == [b"b"]


def test_refusals_for_throughput_are_waited_out(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a")
    stub.refusals["GetRecords"].extend(["ProvisionedThroughputExceededException"] * 2)
    stub.refusals["GetShardIterator"].append("ProvisionedThroughputExceededException")
    source.open({})
    began_s = time.monotonic()
    assert source.read(10, 0.3) is None
    assert time.monotonic() - began_s < 1.0
    assert read_all(source)[0] == [b"a"]
    assert time.monotonic() - began_s >= 0.2 + 0.4 + 0.8


def test_an_idle_shard_moves_its_position_once_an_hour(stub: StubStream, source: KinesisSource) -> None:
    """Without that, a quiet shard would look as if its records were lost."""
    stub.put(b"a")
    source.open({})
    _, positions = read_all(source)
    number, _, read_to_ms = positions[SHARD].partition("@")
    stub.created_s -= 1_000_000
    source.open({SHARD: f"{number}@{int(read_to_ms) - 2 * HOUR_MS}"})
    batch = source.read(10, 0.0)
    assert batch is not None
    assert batch.records == ()
    later_number, _, later_ms = batch.positions[SHARD].partition("@")
    assert later_number == number
    assert int(later_ms) >= int(read_to_ms)
    assert source.read(10, 0.0) is None
