"""The Kafka dead letters keep their port's contract, also beside open transactions and newer releases."""

from collections.abc import Iterator
from threading import Thread

import pytest

from realtime_pipeline.application.errors import NewerRelease, Unavailable
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver, Stage, StageObserver
from realtime_pipeline.domain.streams.dead_letters import LetterKey
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.kafka.clients import new_producer
from realtime_pipeline.infrastructure.kafka.dead_letters import KafkaDeadLetters
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import Mark, mark_headers
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from tests.contracts.dead_letters import REPLAYED, RESOLVED, DurableContract, key
from tests.contracts.event_log import Owner

pytestmark = pytest.mark.xdist_group("kafka")


class TestKafkaDeadLetters(DurableContract):
    @pytest.fixture(autouse=True)
    def _letters(self, settings: KafkaSettings) -> Iterator[None]:
        log = KafkaEventLog(settings)
        owner = Owner()
        log.subscribe(owner)
        while not owner.held:
            log.poll(1, 0.2)
        outputs = KafkaOutputs(settings, log, NoObserver())
        self.outputs = outputs
        self.opened = lambda stages: KafkaDeadLetters(settings, stages)
        self.letters = self.opened(NoObserver())

        def records() -> list[Record]:
            found: list[Record] = []
            while polled := log.poll(500, 1.0):
                found += polled
            return found

        self.log = records
        yield
        outputs.close()
        log.close()

    @pytest.mark.parametrize("first_at", [Stage.FETCHED, Stage.APPENDED])
    def test_only_one_of_two_concurrent_programs_publishes(self, first_at: Stage) -> None:
        """The second handles the letter when the first has read it as open, or has all records in its transaction."""
        self.given(3)
        again = [(key(3), Outgoing(b"bob", b"mended"))]
        second = self.opened(NoObserver())

        class Meanwhile(StageObserver):
            def reached(self, stage: Stage, records: int) -> None:
                if stage is first_at:
                    assert set(second.handle(again, REPLAYED)) == {key(3)}

        with pytest.raises(Unavailable, match="another program handles dead letters at the same time"):
            self.opened(Meanwhile()).handle(again, REPLAYED)
        assert (self.states(), self.values()) == ({"0-3": "replayed"}, [b"mended"])

    def test_a_letter_in_the_format_of_a_newer_release_is_an_error(self, settings: KafkaSettings) -> None:
        self.given(3)
        newer = new_producer(settings, {})
        newer.produce(settings.dead_letters_topic, b"{}", partition=0, headers=[("format", "2 1"), ("reason", "late")])
        newer.flush(10)
        assert self.states() == {"0-3": "open"}  # this release can ignore the message
        newer.produce(settings.dead_letters_topic, b"{}", partition=0, headers=[("format", "2 2"), ("place", "0-4")])
        newer.flush(10)
        with pytest.raises(
            NewerRelease, match=r"a dead letter was written by a newer release .*: upgrade this program"
        ):
            self.states()

    def test_a_mark_hidden_by_an_open_transaction_prevents_a_second_one(self, settings: KafkaSettings) -> None:
        self.given(3)
        worker = new_producer(settings, {"transactional.id": settings.group})
        worker.init_transactions(10)
        worker.begin_transaction()
        worker.produce(settings.dead_letters_topic, b"of a worker", partition=0)
        worker.flush(10)
        marks = new_producer(settings, {})
        marks.produce(settings.dead_letters_topic, b"", partition=0, headers=mark_headers(Mark(key(3), RESOLVED)))
        marks.flush(10)
        assert self.states() == {"0-3": "open"}
        marked: list[set[LetterKey]] = []
        program = Thread(
            target=lambda: marked.append(set(self.letters.handle([(key(3), Outgoing(b"bob", b"mended"))], REPLAYED)))
        )
        program.start()
        program.join(4.0)  # on a busy machine it takes seconds until the program reads
        worker.abort_transaction(10)
        program.join(30)
        assert (marked, self.states(), self.values()) == ([set()], {"0-3": "resolved"}, [])
