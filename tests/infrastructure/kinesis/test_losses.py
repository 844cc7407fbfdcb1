"""What Kinesis has deleted before it was read: reading stops, and says what is lost."""

import time

import pytest

from realtime_pipeline.application.errors import Damaged, UnrecoverableState
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.support.kinesis_streams import HOUR_MS, SHARD, Moto, read_all, settings_at, skipping
from tests.support.kinesis_stub import StubStream, stub_server

pytestmark = pytest.mark.xdist_group("kinesis")


def test_what_came_longer_ago_than_the_retention_may_be_lost(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a")
    source.open({})
    _, positions = read_all(source)
    number, _, read_to_ms = positions[SHARD].partition("@")
    stub.created_s -= 1_000_000
    source.open({SHARD: f"{number}@{int(read_to_ms) - 23 * HOUR_MS}"})
    old = {SHARD: f"{number}@{int(read_to_ms) - 25 * HOUR_MS}"}
    with pytest.raises(UnrecoverableState, match=r"was read to 25 hours ago and keeps records for 24: .* skip_lost"):
        source.open(old)
    stub.put(b"b")
    going_on = skipping(source)
    going_on.open(old)
    assert read_all(going_on)[0] == [b"b"]
    going_on.close()


def test_a_stream_that_was_deleted_and_created_again_is_another(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a")
    stub.replace(0, children=1)
    source.open({})
    _, positions = read_all(source)
    again = StubStream()
    again.created_s = time.time() + 1
    again.put(b"new")
    with stub_server(again) as endpoint:
        other = KinesisSource("others", settings_at(endpoint))
        with pytest.raises(UnrecoverableState, match=r"was deleted and created again: .* skip_lost = true"):
            other.open(positions)
        going_on = skipping(other)
        going_on.open(positions)
        assert read_all(going_on)[0] == [b"new"]
        going_on.close()
        other.close()


def test_a_position_that_the_stream_refuses_stops_it(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a")
    positions = {SHARD: f"17@{time.time_ns() // 1_000_000}"}
    source.open(positions)
    with pytest.raises(UnrecoverableState, match=r"refuses a position \(17 is invalid .* skip_lost = true goes on"):
        source.read(10, 0.0)
    going_on = skipping(source)
    going_on.open(positions)
    assert read_all(going_on)[0] == [b"a"]
    going_on.close()


def test_a_shard_that_is_gone_before_its_end_was_read(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a")
    source.open({})
    _, positions = read_all(source)
    stub.replace(0, children=1)
    del stub.shards[SHARD]
    stub.shards["shardId-000000000001"].records.append((10**56, time.time(), b"b"))
    with pytest.raises(UnrecoverableState, match=f"has no {SHARD} any more"):
        source.open(positions)
    going_on = skipping(source)
    going_on.open(positions)
    assert read_all(going_on)[0] == [b"b"]
    going_on.close()


def test_a_position_of_another_kind_is_refused(moto: Moto) -> None:
    for position in ("17", "x@1", "1@x"):
        with pytest.raises(Damaged, match=f"no release wrote the position {position} of {SHARD}"):
            moto.source().open({SHARD: position})
