"""The Kafka log, outputs and log reader keep their ports' contracts on a real broker."""

import time
from collections.abc import Iterator

import attrs
import pytest

from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.source_publisher import KafkaSourcePublisher
from tests.contracts.event_log import EventLogContract, Owner
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import OutputsContract
from tests.contracts.source_publisher import SourcePublisherContract
from tests.support import servers

pytestmark = pytest.mark.xdist_group("kafka")


class TestKafkaLog(EventLogContract):
    patience_s = 0.4
    turn_records = 300  # brokers return one partition's batch after the other

    @pytest.fixture(autouse=True, params=["consumer", "classic"])
    def _log(self, request: pytest.FixtureRequest, settings: KafkaSettings) -> Iterator[None]:
        self.publisher = KafkaEventPublisher(settings, NoObserver())
        self.log = KafkaEventLog(attrs.evolve(settings, group_protocol=request.param))
        yield
        self.log.close()
        self.publisher.close()

    def is_now(self, at_ms: int) -> bool:
        return abs(at_ms - time.time_ns() // 1_000_000) < 60_000


class TestKafkaOutputs(OutputsContract):
    holds_partitions = True

    @pytest.fixture(autouse=True)
    def _outputs(self, settings: KafkaSettings) -> Iterator[None]:
        log = KafkaEventLog(settings)
        owner = Owner()
        log.subscribe(owner)
        while not owner.held:
            log.poll(1, 0.2)
        self.log, self.outputs = log, KafkaOutputs(settings, log, NoObserver())
        yield
        self.outputs.close()
        log.close()


class TestKafkaLogReader(LogReaderContract):
    @pytest.fixture(autouse=True)
    def _reader(self, settings: KafkaSettings) -> Iterator[None]:
        publisher = KafkaEventPublisher(settings, NoObserver())
        self.publisher, self.reader = publisher, KafkaLogReader(settings)
        yield
        publisher.close()


class TestKafkaSourcePublisher(SourcePublisherContract):
    @pytest.fixture(autouse=True)
    def _topic(self) -> Iterator[None]:
        self.settings = servers.kafka_settings(1)
        self.opened: list[SourcePublisher] = []
        yield
        for publisher in self.opened:
            publisher.close()

    def publisher(self, source: str) -> SourcePublisher:
        self.opened.append(KafkaSourcePublisher(self.settings, NoObserver(), source))
        return self.opened[-1]

    def values(self) -> list[str]:
        log = KafkaEventLog(self.settings)
        end = log.bounds([0])[0][1]
        log.close()
        return [record.value.decode() for record in KafkaLogReader(self.settings).read(0, 0, end)]
