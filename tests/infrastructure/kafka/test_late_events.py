"""The Kafka late events keep their port's contract, also where there is no topic, or more in it."""

from collections.abc import Iterator

import attrs
import pytest

from realtime_pipeline.application.errors import NewerRelease, UnrecoverableState
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.outputs import Emission
from realtime_pipeline.infrastructure.kafka.clients import new_producer
from realtime_pipeline.infrastructure.kafka.late_events import KafkaLateEvents, late_event_headers
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from tests.contracts.event_log import Owner
from tests.contracts.late_events import LateEventsContract
from tests.contracts.outputs import late_event
from tests.support import servers

pytestmark = pytest.mark.xdist_group("kafka")


class TestKafkaLateEvents(LateEventsContract):
    @pytest.fixture(autouse=True)
    def _late_events(self, settings: KafkaSettings) -> Iterator[None]:
        self.log = KafkaEventLog(settings)
        owner = Owner()
        self.log.subscribe(owner)
        while not owner.held:
            self.log.poll(1, 0.2)
        outputs = KafkaOutputs(settings, self.log, NoObserver())
        self.outputs, self.late_events = outputs, KafkaLateEvents(settings)
        yield
        outputs.close()
        self.log.close()

    def test_a_late_event_that_was_emitted_again_is_read_once(self, settings: KafkaSettings) -> None:
        self.given(3)
        again = late_event(3)
        producer = new_producer(settings, {})
        producer.produce(
            settings.late_events_topic, again.record.value, b"ada", partition=0, headers=late_event_headers(again)
        )
        producer.flush(10)
        assert self.ids() == ["0-3"]

    def test_what_others_wrote_is_passed_over_and_a_newer_format_is_an_error(self, settings: KafkaSettings) -> None:
        self.given(3)
        other = new_producer(settings, {})
        other.produce(settings.late_events_topic, b"{}", partition=0)
        other.produce(settings.late_events_topic, b"{}", partition=0, headers=[("format", "2 1"), ("place", "0-4")])
        other.flush(10)
        assert self.ids() == ["0-3"]
        other.produce(settings.late_events_topic, b"{}", partition=0, headers=[("format", "2 2"), ("place", "0-4")])
        other.flush(10)
        with pytest.raises(NewerRelease, match=r"a late event was written by a newer release .*: upgrade this program"):
            self.ids()

    def test_without_the_topic_there_is_none_and_emitting_one_says_how_to_make_it(
        self, settings: KafkaSettings
    ) -> None:
        without = attrs.evolve(settings, late_events_topic=servers.unique("never-made"))
        outputs = KafkaOutputs(without, self.log, NoObserver())
        assert (list(KafkaLateEvents(without).late_events()), list(outputs.late_events(5))) == ([], [])
        outputs.claim(0, 1)
        with pytest.raises(UnrecoverableState, match=f"topic {without.late_events_topic}: .*topics create"):
            outputs.emit([Emission(0, 1, 0, 9, (), late_events=(late_event(3),))])
        assert outputs.positions([0]) == {0: 0}
        outputs.close()
