"""The sink in memory keeps the contract: that makes it fit to stand in for others in tests."""

import pytest

from realtime_pipeline.application.ports.sink import Sink
from realtime_pipeline.infrastructure.memory.sink import MemorySink
from tests.contracts.sink import LOG_ID, SinkContract


class TestMemorySink(SinkContract):
    @pytest.fixture(autouse=True)
    def _sink(self) -> None:
        self.memory = self.sink = MemorySink()
        self.sink.bind(LOG_ID)

    def reopened(self) -> Sink:
        return self.sink

    def stored(self) -> list[tuple[int, int, bytes]]:
        return [
            (partition, row.position, row.document)
            for partition, rows in sorted(self.memory.rows.items())
            for row in rows
        ]
