"""A stream in moto and one in the stub, of its own for each test."""

from collections.abc import Iterator

import pytest

from realtime_pipeline.infrastructure.kinesis.source import KinesisSource
from tests.support.kinesis_streams import Moto, settings_at
from tests.support.kinesis_stub import StubStream, stub_server


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
