"""The memory adapters keep the contracts of sources."""

import msgspec
import pytest

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.source import Source, SourceRecord
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.memory.source import MemorySource
from realtime_pipeline.infrastructure.memory.source_publisher import MemorySourcePublisher
from tests.contracts.source import SourceContract
from tests.contracts.source_publisher import SourcePublisherContract
from tests.support.histories import SetClock


class TestMemorySourcePublisher(SourcePublisherContract):
    @pytest.fixture(autouse=True)
    def _log(self) -> None:
        self.log = MemoryLog(1, SetClock())

    def publisher(self, source: str) -> SourcePublisher:
        return MemorySourcePublisher(self.log, source)

    def values(self) -> list[str]:
        return [record.value.decode() for record in self.log.records[0]]


class TestMemorySource(SourceContract):
    @pytest.fixture(autouse=True)
    def _source(self) -> None:
        self.parts: dict[str, list[bytes]] = {"first": [], "second": []}
        self.memory_source = MemorySource("shop", self.parts)

    def source(self) -> Source:
        return self.memory_source

    def fill(self, *names: str) -> None:
        self.parts["first"] += [b'{"name":"%s"}' % name.encode() for name in names]

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, bytes)
        return str(msgspec.json.decode(record.value)["name"])

    def test_what_is_deleted_cannot_be_read_again(self) -> None:
        self.fill("a", "b")
        self.memory_source.open({})
        self.memory_source.acknowledge({"first": "2"})
        with pytest.raises(UnrecoverableState, match="the records of first from 0 on are deleted"):
            self.memory_source.open({})
