"""What others trim, delete or make again: where it was not read, reading a stream stops and says what is lost."""

import time

import pytest

from realtime_pipeline.application.errors import Damaged, UnrecoverableState
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.support.streams import Streams, read_all

pytestmark = pytest.mark.xdist_group("redis-streams")


def test_a_stream_that_was_trimmed_unread_is_not_skipped_silently(streams: Streams, source: RedisStreamSource) -> None:
    streams.add(*"abcdefgh")
    source.open({})
    batch = source.read(2, 0.0)
    assert batch is not None
    streams.do("XTRIM", "MAXLEN", 3)
    key, position = next(iter(batch.positions.items()))
    line = rf"the stream {key} was trimmed before it was read: 3 entries after {position[:-2]} are lost; .*skip_lost"
    with pytest.raises(UnrecoverableState, match=line):
        source.read(10, 0.0)
    with pytest.raises(UnrecoverableState, match=line):
        source.open(batch.positions)
    going_on = streams.source(skip_lost=True)
    going_on.open(batch.positions)
    streams.add("i")
    assert read_all(going_on)[0] == [b"f", b"g", b"h", b"i"]
    going_on.close()


def test_skipping_while_it_reads_doubles_nothing(streams: Streams) -> None:
    source = streams.source(skip_lost=True)
    streams.add(*"abcdefgh")
    source.open({})
    assert source.read(2, 0.0) is not None
    streams.do("XTRIM", "MAXLEN", 3)
    streams.add("i")
    assert source.read(10, 0.1) is not None
    streams.add("j")
    values, positions = read_all(source)
    assert values == [b"j"]
    source.open(positions)
    assert read_all(source)[0] == []
    source.close()


@pytest.mark.parametrize("deleted", [("XTRIM", "MAXLEN", 0), ("XTRIM", "MAXLEN", 1)])
def test_a_stream_whose_read_entries_are_deleted_goes_on(
    streams: Streams, source: RedisStreamSource, deleted: tuple[str, str, int]
) -> None:
    """The owner trims by itself: what is deleted was read."""
    streams.add(*"abc")
    source.open({})
    _, positions = read_all(source)
    streams.do(*deleted)
    streams.add(*"de")
    assert read_all(source)[0] == [b"d", b"e"]
    source.open(positions)
    assert read_all(source)[0] == [b"d", b"e"]
    streams.do("XTRIM", "MAXLEN", 2)
    source.open(positions)
    assert read_all(source)[0] == [b"d", b"e"]


def test_an_entry_deleted_alone_before_it_was_read_is_warned_of(streams: Streams, source: RedisStreamSource) -> None:
    streams.add(*"ab")
    source.open({})
    read_all(source)
    streams.add(*"cd")
    unread = streams.do("XREVRANGE", "+", "-", "COUNT", 2)[-1][0]
    streams.do("XDEL", unread)
    assert read_all(source)[0] == [b"d"]
    time.sleep(1.05)
    assert source.read(10, 0.0) is None
    assert source.warning() == "1 entries were deleted one by one (XDEL) before they were read"
    streams.do("XTRIM", "MAXLEN", 0)
    streams.add("e")
    assert read_all(source)[0] == [b"e"]


@pytest.mark.parametrize("ids", [("1-0", "2-0"), ("*", "*", "*"), ()])
def test_a_stream_that_was_deleted_and_made_again_is_another(
    streams: Streams, source: RedisStreamSource, ids: tuple[str, ...]
) -> None:
    """Whether the new ids are before the position, or behind it as the clock's are."""
    streams.add(*"abcd")
    source.open({})
    batch = source.read(2, 0.0)
    assert batch is not None
    streams.do("UNLINK")
    for entry_id in ids:
        streams.do("XADD", entry_id, "json", "new")
    with pytest.raises(UnrecoverableState, match=r"deleted and made again, or a failover .* skip_lost = true"):
        source.read(10, 0.0)
    with pytest.raises(UnrecoverableState, match=r"deleted and made again, or a failover .* skip_lost = true"):
        source.open(batch.positions)
    going_on = streams.source(skip_lost=True)
    going_on.open(batch.positions)
    assert read_all(going_on)[0] == [b"new"] * len(ids)
    going_on.close()


def test_a_position_of_another_kind_is_refused(streams: Streams, source: RedisStreamSource) -> None:
    with pytest.raises(Damaged, match="no release wrote the position 17 of the stream"):
        source.open({streams.settings.keys[0]: "17"})
