"""A stream in Kinesis as a source, against moto, and against a stub for what moto does not imitate."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.source import Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.contracts.source import SourceContract
from tests.support.bridges import expected_ids, ids_by_customer, preparing, view
from tests.support.histories import embedded
from tests.support.kinesis_streams import SHARD, WAIT_S, Moto, read_all, settings_at
from tests.support.kinesis_stub import StubStream, stub_server

pytestmark = pytest.mark.xdist_group("kinesis")


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


def test_the_lag_is_in_seconds(stub: StubStream, source: KinesisSource) -> None:
    stub.put(*[b"a"] * 5)
    source.open({})
    assert source.read(2, 0.0) is not None
    assert source.lag() == "3.0 s"


def test_catching_up_publishes_what_is_there(moto: Moto, tmp_path: Path) -> None:
    moto.put(*map(view, range(50)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        runs = [pipeline.container.run_source().catch_up(moto.source(), preparing(pipeline)) for _ in range(2)]
        assert [run.published for run in runs] == [50, 0]
        assert ids_by_customer(pipeline) == expected_ids(range(50))


@pytest.mark.parametrize(
    "change",
    [{"stream": ""}, {"endpoint_url": "http://me:it@here"}, {"calls_per_second": 0}, {"request_timeout_ms": 0}],
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        attrs.evolve(KinesisSettings("others"), **change)
