"""A stream in Kinesis as a source, against moto, and against a stub for what moto does not imitate."""

import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import attrs
import msgspec
import pytest

from harness.checking.compare import compare
from harness.services.kinesis import KinesisServer
from harness.services.process import free_port
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Damaged, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.source import Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.contracts.source import SourceContract
from tests.support import servers
from tests.support.bridges import RunningSource, expected_ids, ids_by_customer, preparing, running, stop_the_log, view
from tests.support.histories import embedded
from tests.support.kinesis_stub import StubStream, stub_server

pytestmark = pytest.mark.xdist_group("kinesis")

SHARD = "shardId-000000000000"
HOUR_MS = 3_600_000
WAIT_S = 10.0


def settings_at(endpoint: str, stream: str = "others") -> KinesisSettings:
    return KinesisSettings(
        stream,
        region="eu-central-1",
        endpoint_url=endpoint,
        access_key_id="any",
        secret_access_key="a secret",  # noqa: S106
        calls_per_second=100,
        request_timeout_ms=1_000,
    )


class Moto:
    """A stream of others in moto."""

    def __init__(self, server: KinesisServer | None = None, shards: int = 1) -> None:
        self.server = server or servers.kinesis()
        self.name = servers.unique("others")
        self.client = self.server.client()
        self.client.create_stream(StreamName=self.name, ShardCount=shards)

    def put(self, *values: bytes, key: str = "all") -> None:
        self.server.fill(self.name, values, key)

    def source(self, **changes: Any) -> KinesisSource:
        return KinesisSource("others", attrs.evolve(settings_at(self.server.endpoint, self.name), **changes))


@pytest.fixture
def moto() -> Iterator[Moto]:
    made = Moto()
    yield made
    made.client.close()


@pytest.fixture
def stub() -> StubStream:
    return StubStream()


@pytest.fixture
def source(stub: StubStream) -> Iterator[KinesisSource]:
    with stub_server(stub) as endpoint:
        made = KinesisSource("others", settings_at(endpoint))
        yield made
        made.close()


def skipping(source: KinesisSource) -> KinesisSource:
    return KinesisSource("others", attrs.evolve(source._settings, skip_lost=True))


def read_all(source: Source, records_max: int = 2_000) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    while (batch := source.read(records_max, 0.0)) is not None:
        values += [record.value for record in batch.records]
        positions |= batch.positions
    return values, positions


class TestKinesisSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _stream(self, moto: Moto) -> None:
        self.moto = moto

    def source(self) -> Source:
        return self.moto.source()

    def fill(self, *names: str) -> None:
        self.moto.put(*(b'{"name":"%s"}' % name.encode() for name in names))

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, bytes)
        return str(msgspec.json.decode(record.value)["name"])


class TestKinesisSourceOnTheStub(SourceContract):
    @pytest.fixture(autouse=True)
    def _stream(self, stub: StubStream) -> Iterator[None]:
        self.stub = stub
        with stub_server(stub) as endpoint:
            self.endpoint = endpoint
            yield

    def source(self) -> Source:
        return KinesisSource("others", settings_at(self.endpoint))

    def fill(self, *names: str) -> None:
        self.stub.put(*(b'{"name":"%s"}' % name.encode() for name in names))

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, bytes)
        return str(msgspec.json.decode(record.value)["name"])


def test_a_record_is_named_by_shard_and_sequence_number(moto: Moto) -> None:
    moto.put(b"a")
    source = moto.source()
    source.open({})
    batch = source.read(10, WAIT_S)
    assert batch is not None
    (record,) = batch.records
    assert record == SourceRecord(f"{SHARD}:1", b"a", f"{moto.name}:{SHARD}:1")
    number, _, read_to_ms = batch.positions[SHARD].partition("@")
    assert number == "1"
    assert abs(int(read_to_ms) - time.time() * 1000) < 60_000
    source.close()


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


def test_an_expired_iterator_is_made_again(stub: StubStream, source: KinesisSource) -> None:
    stub.put(b"a", b"b")
    source.open({})
    assert source.read(1, 0.0) is not None
    stub.refusals["GetRecords"].append("ExpiredIteratorException")
    assert read_all(source)[0] == [b"b"]


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


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("AccessDeniedException", "allow kinesis:DescribeStreamSummary, ListShards"),
        ("UnrecognizedClientException", "or correct the credentials"),
        ("ExpiredTokenException", "or correct the credentials"),
        ("ResourceNotFoundException", "others is not there"),
        ("ValidationException", "refuses a request"),
    ],
)
@pytest.mark.parametrize("operation", ["DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"])
def test_what_a_person_must_change_is_said(
    stub: StubStream, source: KinesisSource, operation: str, code: str, line: str
) -> None:
    stub.refusals[operation].append(code)
    with pytest.raises(Unavailable, match=line) as raised:
        open_and_read(source)
    assert not isinstance(raised.value, Unreachable)
    assert "a secret" not in f"{raised.value}{source._settings!r}"


@pytest.mark.parametrize("code", ["InternalFailure", "LimitExceededException"])
def test_what_passes_is_tried_again(stub: StubStream, source: KinesisSource, code: str) -> None:
    stub.refusals["ListShards"].append("LimitExceededException")
    with pytest.raises(Unreachable):
        source.open({})
    source.open({})


def open_and_read(source: Source) -> None:
    source.open({})
    source.read(10, 0.0)


def test_a_stream_that_is_not_there_must_be_created(moto: Moto) -> None:
    source = moto.source(stream="nowhere")
    with pytest.raises(Unavailable, match=r"the Kinesis stream nowhere is not there .* correct stream and region"):
        source.open({})
    source.close()


def test_an_endpoint_that_is_down_is_unreachable(moto: Moto) -> None:
    source = moto.source(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="no answer"):
        source.open({})
    source.close()


def test_settings_that_do_not_fit_are_refused(moto: Moto, tmp_path: Path) -> None:
    for change in ({"endpoint_url": "no address"}, {"region": "no region"}, {"secret_access_key": ""}):
        source = moto.source(**change)
        with pytest.raises(Unavailable) as raised:
            source.open({})
        assert not isinstance(raised.value, Unreachable)
        source.close()
    with pytest.raises(Unavailable, match=r"secret_access_key_file .* cannot be read"):
        moto.source(secret_access_key_file=str(tmp_path / "none")).open({})


def test_the_secret_may_be_in_a_file(moto: Moto, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret\n")
    source = moto.source(secret_access_key="", secret_access_key_file=str(tmp_path / "key"))
    moto.put(b"a")
    source.open({})
    assert read_all(source)[0] == [b"a"]
    source.close()


def test_aggregated_records_are_refused(moto: Moto) -> None:
    packed = b"\xf3\x89\x9a\xc2\x0a\x01a" + b"\x00" * 16
    moto.put(packed, b"plain")
    source = moto.source()
    source.open({})
    unreadable, plain = read_all(source)[0]
    assert isinstance(unreadable, Unreadable)
    assert unreadable.raw == packed
    assert "set AggregationEnabled = false in the producer" in unreadable.reason
    assert plain == b"plain"
    source.close()


def test_a_position_of_another_kind_is_refused(moto: Moto) -> None:
    for position in ("17", "x@1", "1@x"):
        with pytest.raises(Damaged, match=f"no release wrote the position {position} of {SHARD}"):
            moto.source().open({SHARD: position})


def test_the_lag_is_in_seconds(stub: StubStream, source: KinesisSource) -> None:
    stub.put(*[b"a"] * 5)
    source.open({})
    assert source.read(2, 0.0) is not None
    assert source.lag() == "3.0 s"


def test_a_server_that_stops_for_a_while_loses_and_doubles_nothing(tmp_path: Path) -> None:
    server = KinesisServer(tmp_path / "kinesis")
    server.process.start()
    moto = Moto(server)
    try:
        moto.put(*map(view, range(100)))
        with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
            with running(pipeline, moto.source()) as run:
                run.wait_until(lambda progress: progress.published == 100)
                server.process.signal(SIGSTOP)
                run.wait_until(lambda progress: progress.problem != "")
                server.process.signal(SIGCONT)
                moto.put(*map(view, range(100, 200)))
                run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            assert ids_by_customer(pipeline) == expected_ids(range(200))
            pipeline.process()
            assert compare(pipeline)[1] == []
    finally:
        moto.client.close()
        server.process.kill()


def test_an_endpoint_that_is_restarted_loses_and_doubles_nothing(stub: StubStream, tmp_path: Path) -> None:
    port = free_port()
    stub.put(*map(view, range(100)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        with stub_server(stub, port) as endpoint:
            run = RunningSource(pipeline, KinesisSource("others", settings_at(endpoint)))
            run.start()
            run.wait_until(lambda progress: progress.published == 100)
        run.wait_until(lambda progress: progress.problem != "")
        stub.put(*map(view, range(100, 200)))
        with stub_server(stub, port):
            run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            run.stop()
        assert ids_by_customer(pipeline) == expected_ids(range(200))


def test_catching_up_publishes_what_is_there(moto: Moto, tmp_path: Path) -> None:
    moto.put(*map(view, range(50)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        runs = [pipeline.container.run_source().catch_up(moto.source(), preparing(pipeline)) for _ in range(2)]
        assert [run.published for run in runs] == [50, 0]
        assert ids_by_customer(pipeline) == expected_ids(range(50))


def test_a_log_that_takes_nothing_stops_the_reading(moto: Moto, tmp_path: Path) -> None:
    stop_the_log(embedded("sqlite", tmp_path), moto.source(), lambda numbers: moto.put(*map(view, numbers)))


@pytest.mark.parametrize(
    "change",
    [{"stream": ""}, {"endpoint_url": "http://me:it@here"}, {"calls_per_second": 0}, {"request_timeout_ms": 0}],
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        attrs.evolve(KinesisSettings("others"), **change)
