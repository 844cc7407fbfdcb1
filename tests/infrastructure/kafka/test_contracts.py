"""The Kafka log, outputs and log reader keep their ports' contracts on a real broker."""

import time
from collections.abc import Iterator

import attrs
import pytest

from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from tests.contracts.event_log import EventLogContract, Owner
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import OutputsContract

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
