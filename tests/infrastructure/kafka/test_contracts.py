"""The Kafka log, outputs and log reader keep their ports' contracts on a real broker."""

import time
from collections.abc import Iterator

import attrs
import pytest

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.source_publisher import KafkaSourcePublisher
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.contracts.event_log import EventLogContract, Owner
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import OutputsContract
from tests.contracts.source_publisher import SourcePublisherContract, records
from tests.support import servers
from tests.support.queues import wait_until_led

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

    def test_a_position_that_cannot_be_written_takes_its_records_with_it(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        with pytest.raises(Unavailable, match="Kafka did not accept a record of shop"):
            publisher.publish(records("a"), {"part": "1" * 2_000_000})
        assert (self.values(), publisher.claim()) == ([], {})
        publisher.publish(records("b"), {"part": "1"})
        assert (self.values(), publisher.claim()) == (["b"], {"part": "1"})

    def test_a_log_that_was_made_again_has_no_positions(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        publisher.publish(records("a"), {"part": "1"})
        topics = KafkaTopics(self.settings)
        topics.delete([self.settings.topic])
        while self.settings.topic not in topics.create(TopicSettings(partitions=1)):
            time.sleep(0.1)
        wait_until_led(self.settings.brokers, self.settings.topic)
        assert self.publisher("shop").claim() == {}
