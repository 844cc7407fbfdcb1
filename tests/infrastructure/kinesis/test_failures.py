"""Refusals of Kinesis, and servers that do not answer: what a person must change, and what is tried again."""

from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from harness.checking.compare import compare
from harness.services.kinesis import KinesisServer
from harness.services.process import free_port
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.support.bridges import RunningSource, expected_ids, ids_by_customer, running, stop_the_log, view
from tests.support.histories import embedded
from tests.support.kinesis_streams import Moto, settings_at
from tests.support.kinesis_stub import StubStream, stub_server

pytestmark = pytest.mark.xdist_group("kinesis")


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


def test_a_log_that_takes_nothing_stops_the_reading(moto: Moto, tmp_path: Path) -> None:
    stop_the_log(embedded("sqlite", tmp_path), moto.source(), lambda numbers: moto.put(*map(view, numbers)))
