"""Streams of others as a source, on a real server and on a cluster."""

import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import attrs
import msgspec
import pytest
import redis

from harness.checking.compare import compare
from harness.services.redis import RedisServer
from harness.services.resharding import move_slot, slot_of
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Damaged, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.source import Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_positions import StreamState
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.contracts.source import SourceContract
from tests.support import servers
from tests.support.bridges import expected_ids, ids_by_customer, preparing, running, stop_the_log, view
from tests.support.histories import embedded

pytestmark = pytest.mark.xdist_group("redis-streams")

WAIT_S = 10.0


class Streams:
    """Streams of others, and what others do with them."""

    def __init__(self, count: int = 1, **settings: Any) -> None:
        keys = tuple(servers.unique("others") for _ in range(count))
        settings.setdefault("nodes", servers.redis_address())
        self.settings = RedisStreamSettings(keys, **settings)
        self.client = RedisClient(self.settings.client())

    def do(self, *words: str | int | bytes, key: int = 0) -> Any:
        """Send a command about a stream, whose key follows the command."""
        name = self.settings.keys[key]
        return self.client.execute([(name, (words[0], name, *words[1:]))])[0]

    def add(self, *values: bytes | str, key: int = 0) -> None:
        name = self.settings.keys[key]
        self.client.execute([(name, ("XADD", name, "*", "json", value)) for value in values])

    def source(self, **changes: Any) -> RedisStreamSource:
        return RedisStreamSource("others", attrs.evolve(self.settings, **({"field": "json"} | changes)))


@pytest.fixture
def streams() -> Iterator[Streams]:
    made = Streams()
    yield made
    made.client.close()


@pytest.fixture
def source(streams: Streams) -> Iterator[RedisStreamSource]:
    made = streams.source()
    yield made
    made.close()


def read_all(source: Source, records_max: int = 100) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    while (batch := source.read(records_max, 0.0)) is not None:
        values += [record.value for record in batch.records]
        positions |= batch.positions
    return values, positions


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


def test_a_stream_that_does_not_exist_yet_is_waited_for(streams: Streams, source: RedisStreamSource) -> None:
    source.open({})
    assert source.read(10, 0.05) is None
    streams.add("a")
    assert read_all(source)[0] == [b"a"]


def test_a_key_that_is_no_stream_is_refused(streams: Streams, source: RedisStreamSource) -> None:
    streams.do("SET", "text")
    with pytest.raises(Unavailable, match=f"{streams.settings.keys[0]} in Redis is a string, and no stream: correct"):
        source.open({})
    streams.do("UNLINK")
    source.open({})
    streams.do("SET", "text")
    with pytest.raises(Unavailable, match="a key of others in Redis is no stream"):
        source.read(10, 0.0)


def test_a_position_of_another_kind_is_refused(streams: Streams, source: RedisStreamSource) -> None:
    with pytest.raises(Damaged, match="no release wrote the position 17 of the stream"):
        source.open({streams.settings.keys[0]: "17"})


def test_a_server_without_counts_is_too_old() -> None:
    """A server before Redis 7 replies without `entries-added`."""
    reply = [b"length", 0, b"last-generated-id", b"0-0", b"first-entry", None, b"last-entry", None]
    with pytest.raises(Unavailable, match="too old: use Redis 7"):
        StreamState.decode("orders", reply)


def test_a_user_without_rights_gets_the_rule(streams: Streams) -> None:
    name = servers.unique("reader")
    admin = redis.Redis(*_host(streams.settings.nodes))
    admin.execute_command("ACL", "SETUSER", name, "on", ">a secret", "+ping")
    source = streams.source(username=name, password="a secret", trim=True)  # noqa: S106
    key = streams.settings.keys[0]
    rule = rf"ACL SETUSER {name} \+type \+exists \+xinfo \+xrange \+xtrim ~{key}"
    with pytest.raises(Unavailable, match=rule) as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)
    assert "a secret" not in f"{raised.value}{streams.settings!r}"
    admin.execute_command("ACL", "SETUSER", name, "+type", "+exists", "+xinfo", "+xrange", "+xtrim", f"~{key}")
    streams.add("a", "b")
    source.open({})
    values, positions = read_all(source)
    source.acknowledge(positions)
    assert (values, streams.do("XLEN")) == ([b"a", b"b"], 1)
    source.close()
    admin.close()


def test_a_wrong_password_is_refused(streams: Streams, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("guess\n")
    source = streams.source(username="nobody", password_file=str(file))
    with pytest.raises(Unavailable, match="does not let this user in") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)
    assert "guess" not in str(raised.value)


def test_a_server_that_is_not_there_is_unreachable(streams: Streams) -> None:
    with pytest.raises(Unreachable):
        streams.source(nodes="127.0.0.1:9").open({})


def test_large_entries_are_read_in_batches_of_some_megabytes(streams: Streams, source: RedisStreamSource) -> None:
    for _ in range(40):
        streams.add(b"x" * 1_000_000)
    source.open({})
    sizes = list[int]()
    while (batch := source.read(2_000, 0.0)) is not None:
        sizes.append(len(batch.records))
    assert sum(sizes) == 40
    assert max(sizes) < 20


def test_a_stream_that_moves_to_other_nodes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    nodes = servers.redis_cluster_nodes()
    streams = Streams(nodes=servers.redis_cluster_address(), cluster=True)
    slot = slot_of(nodes[0], streams.settings.keys[0])
    streams.add(*map(view, range(100)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        with running(pipeline, streams.source()) as run:
            run.wait_until(lambda progress: progress.published >= 50)
            for turn in range(1, 7):
                assert move_slot(nodes, slot, nodes[turn % 3], lambda: time.sleep(0.05)) <= 1
                streams.add(*map(view, range(100 * turn, 100 * turn + 100)))
            run.wait_until(lambda progress: progress.published == 700 and not progress.problem)
        assert ids_by_customer(pipeline) == expected_ids(range(700))
    streams.client.close()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_gone_for_a_while_loses_and_doubles_nothing(how: str, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", None, "--appendfsync", "always")
    server.process.start()
    streams = Streams(nodes=server.endpoint, request_timeout_ms=300)
    try:
        streams.add(*(view(number) for number in range(100)))
        with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
            with running(pipeline, streams.source()) as run:
                run.wait_until(lambda progress: progress.published == 100)
                if how == "stopped":
                    server.process.signal(SIGSTOP)
                else:
                    server.process.kill()
                run.wait_until(lambda progress: progress.problem != "")
                if how == "stopped":
                    server.process.signal(SIGCONT)
                else:
                    server.process.start()
                streams.add(*(view(number) for number in range(100, 200)))
                run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            assert ids_by_customer(pipeline) == expected_ids(range(200))
            pipeline.process()
            assert compare(pipeline)[1] == []
    finally:
        streams.client.close()
        server.process.kill()


def test_catching_up_publishes_what_is_there(streams: Streams, tmp_path: Path) -> None:
    streams.add(*(view(number) for number in range(50)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        source = streams.source(trim=True)
        runs = [pipeline.container.run_source().catch_up(source, preparing(pipeline)) for _ in range(2)]
        assert [run.published for run in runs] == [50, 0]
        assert ids_by_customer(pipeline) == expected_ids(range(50))
        assert streams.do("XLEN") == 1


def test_a_log_that_takes_nothing_stops_the_reading(streams: Streams, tmp_path: Path) -> None:
    stop_the_log(embedded("sqlite", tmp_path), streams.source(), lambda numbers: streams.add(*map(view, numbers)))


@pytest.mark.parametrize(
    "change", [{"keys": ()}, {"keys": ("a", "a")}, {"keys": ("",)}, {"nodes": "here"}, {"request_timeout_ms": 0}]
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|are written"):
        attrs.evolve(RedisStreamSettings(("others",)), **change)


def _host(node: str) -> tuple[str, int]:
    host, _, port = node.partition(":")
    return host, int(port)
