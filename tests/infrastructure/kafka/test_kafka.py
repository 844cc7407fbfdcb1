"""The Kafka adapters keep the ports' contracts on a real broker."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Literal

import attrs
import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from harness.services.kafka import AFTER_A_KILL, kafka_broker
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import NewerRelease, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver, Stage, StageObserver
from realtime_pipeline.domain.streams.dead_letters import LetterKey
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.kafka.clients import made_producer, within
from realtime_pipeline.infrastructure.kafka.dead_letters import KafkaDeadLetters
from realtime_pipeline.infrastructure.kafka.dead_letters_topic import Mark, mark_headers
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader
from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from tests.contracts.dead_letters import REPLAYED, RESOLVED, DurableContract, key
from tests.contracts.event_log import PARTITIONS, EventLogContract, LateOwner, Owner
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import OutputsContract
from tests.support import servers
from tests.support.histories import event

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture
def settings() -> KafkaSettings:
    return servers.kafka_settings(PARTITIONS)


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
    def test_of_two_programs_at_the_same_time_one_publishes(self, first_at: Stage) -> None:
        """The first knows that the letter is open, or has all in its transaction, when the second comes."""
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

    def test_a_letter_that_only_a_newer_release_reads_is_not_passed_over(self, settings: KafkaSettings) -> None:
        self.given(3)
        newer = made_producer(settings, {})
        newer.produce(settings.dead_letters_topic, b"{}", partition=0, headers=[("format", "2 1"), ("reason", "late")])
        newer.flush(10)
        assert self.states() == {"0-3": "open"}  # no letter to this release, nor one that it must know
        newer.produce(settings.dead_letters_topic, b"{}", partition=0, headers=[("format", "2 2"), ("place", "0-4")])
        newer.flush(10)
        with pytest.raises(
            NewerRelease, match=r"a dead letter was written by a newer release .*: upgrade this program"
        ):
            self.states()

    def test_a_mark_that_an_open_transaction_hides_counts(self, settings: KafkaSettings) -> None:
        self.given(3)
        worker = made_producer(settings, {"transactional.id": settings.group})
        worker.init_transactions(10)
        worker.begin_transaction()
        worker.produce(settings.dead_letters_topic, b"of a worker", partition=0)
        worker.flush(10)
        marks = made_producer(settings, {})
        marks.produce(settings.dead_letters_topic, b"", partition=0, headers=mark_headers(Mark(key(3), RESOLVED)))
        marks.flush(10)
        assert self.states() == {"0-3": "open"}
        marked: list[set[LetterKey]] = []
        program = Thread(
            target=lambda: marked.append(set(self.letters.handle([(key(3), Outgoing(b"bob", b"mended"))], REPLAYED)))
        )
        program.start()
        program.join(1.0)
        worker.abort_transaction(10)
        program.join(30)
        assert (marked, self.states(), self.values()) == ([set()], {"0-3": "resolved"}, [])


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_nothing_comes_of_what_cannot_be_claimed_yet(
    settings: KafkaSettings, protocol: Literal["consumer", "classic"]
) -> None:
    publisher = KafkaEventPublisher(settings, NoObserver())
    publisher.publish([Outgoing(b"%d" % number, b"%d" % number) for number in range(60)])
    KafkaTopics(settings).truncate(settings.topic, dict.fromkeys(range(PARTITIONS), 5))
    log, owner, ends = KafkaEventLog(attrs.evolve(settings, group_protocol=protocol)), LateOwner(), 0.0
    log.subscribe(owner)
    deadline_s = time.monotonic() + 30
    while len(owner.held) < PARTITIONS or time.monotonic() < ends:
        assert log.poll(10, 0.2) == []
        ends = ends or (len(owner.held) == PARTITIONS and time.monotonic() + 1.0) or 0.0
        assert time.monotonic() < deadline_s
    log.close()
    publisher.close()


def test_who_is_left_without_partitions_because_nobody_is_there_says_so(tmp_path: Path) -> None:
    """A group of the classic kind takes them away when its brokers do not answer."""
    with kafka_broker(tmp_path) as broker:
        rules = KafkaSettings(
            brokers=broker.place,
            group_protocol="classic",
            request_timeout_ms=2_000,
            transaction_timeout_ms=1_000,
            librdkafka={"session.timeout.ms": 3_000, "heartbeat.interval.ms": 500},
        )
        KafkaTopics(attrs.evolve(rules, request_timeout_ms=15_000)).create(TopicSettings(partitions=1))
        log, owner = KafkaEventLog(rules), Owner()
        log.subscribe(owner)
        deadline_s = time.monotonic() + 30
        while not owner.held:
            log.poll(1, 0.2)
            assert time.monotonic() < deadline_s
        broker.process.kill()
        with pytest.raises(Unreachable, match="does not answer about topic"):
            nothing_is_read(log, 20)
        assert not owner.held
        broker.process.start(*AFTER_A_KILL)
        log.close()


def test_a_topic_that_is_not_there_is_named_with_the_way_out() -> None:
    rules = KafkaSettings(brokers=servers.kafka_place(), topic=servers.unique("nowhere"))
    with pytest.raises(UnrecoverableState, match=r"topic nowhere-\d+: .*topics create"):
        KafkaEventLog(rules)


def test_brokers_that_do_not_answer_are_named() -> None:
    rules = KafkaSettings(brokers="127.0.0.1:1", request_timeout_ms=500)
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 does not answer about topic user_events"):
        KafkaEventLog(rules)


def test_topics_are_made_as_the_fold_needs_them_and_once(settings: KafkaSettings) -> None:
    topics = KafkaTopics(settings)
    assert topics.create(TopicSettings(partitions=PARTITIONS)) == []
    elsewhere = attrs.evolve(settings, topic=servers.unique("events"), dead_letters_topic=servers.unique("letters"))
    made = KafkaTopics(elsewhere).create(TopicSettings(partitions=1))
    assert sorted(made) == sorted([elsewhere.topic, elsewhere.dead_letters_topic])
    described = topics.describe(settings.topic)
    assert (described.partitions, described.replication) == (PARTITIONS, 1)
    assert described.settings["message.timestamp.type"] == "LogAppendTime"
    assert described.settings["retention.ms"] == str(7 * 86_400_000)
    assert topics.describe(settings.dead_letters_topic).settings["message.timestamp.type"] == "CreateTime"
    topics.delete([settings.topic])
    deadline_s = time.monotonic() + 10
    while settings.topic in topics.list():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_a_position_before_the_start_of_the_log_stops_the_reader(settings: KafkaSettings) -> None:
    publisher, log = KafkaEventPublisher(settings, NoObserver()), KafkaEventLog(settings)
    publisher.publish([Outgoing(b"k", b"x", partition=1)] * 3)
    log.subscribe(Owner({1: 99}))
    with pytest.raises(UnrecoverableState, match="the position to read from is not in the log any more"):
        nothing_is_read(log, 20)
    log.close()


def nothing_is_read(log: KafkaEventLog, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        assert log.poll(10, 0.2) == []


def test_records_of_an_aborted_transaction_are_not_read(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    for value, is_kept in ((b"aborted", False), (b"committed", True)):
        producer.begin_transaction()
        producer.produce(settings.topic, value, b"k", partition=1)
        producer.flush()
        (producer.commit_transaction if is_kept else producer.abort_transaction)()
    log = KafkaEventLog(settings)
    log.subscribe(Owner())
    read: list[bytes] = []
    deadline_s = time.monotonic() + 20
    while not read and time.monotonic() < deadline_s:
        read += [record.value for record in log.poll(10, 0.2)]
    assert read == [b"committed"]
    log.close()


def test_a_log_that_ends_in_the_mark_of_a_transaction_is_worked_off_to_its_end(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    with Pipeline(Settings(log="kafka", store="memory", kafka=settings)) as pipeline:
        for number in range(2):
            producer.begin_transaction()
            value = msgspec.json.encode(event(f"e{number}", user=None, product="mug"))
            producer.produce(settings.topic, value, partition=1)
            producer.commit_transaction()
            assert pipeline.process() == {RecordClass.APPLIED: 1 + number}
            assert pipeline.container.log().bounds([1])[1] == (0, 2 + 2 * number)


def test_records_behind_an_open_transaction_are_counted_as_hidden(settings: KafkaSettings) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": servers.unique("transaction")})
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(settings.topic, b"v", b"k", partition=1)
    producer.flush()
    assert KafkaTopics(settings).describe(settings.topic).hidden == 3
    producer.commit_transaction()
    assert KafkaTopics(settings).describe(settings.topic).hidden == 0


def test_a_call_of_the_client_that_does_not_return_is_left_behind() -> None:
    ended = Event()
    with pytest.raises(Unreachable, match="the offsets: Kafka's client did not return"):
        within(0.05, lambda: ended.wait(30), "the offsets")
    ended.set()
    within(5, ended.is_set, "the offsets")
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0, "the offsets")
    with pytest.raises(SystemExit):  # no thread dies unseen, whatever of
        within(5, lambda: sys.exit(3), "the offsets")


def test_what_the_brokers_refuse_is_no_success(settings: KafkaSettings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    limit = ConfigEntry("max.message.bytes", "500", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, settings.topic, incremental_configs=[limit])
    for future in admin.incremental_alter_configs([topic]).values():
        future.result()
    publisher = KafkaEventPublisher(attrs.evolve(settings, compression="none"), NoObserver())
    small, large = Outgoing(b"k", b"x", partition=0), Outgoing(b"k", b"x" * 5_000, partition=1)
    with pytest.raises(Unavailable, match="did not take all of 2 events, one is too large"):
        publisher.publish([small, large])
    publisher.publish([small])
    publisher.close()


def test_a_full_queue_makes_the_publisher_wait_and_loses_nothing(settings: KafkaSettings) -> None:
    publisher = KafkaEventPublisher(attrs.evolve(settings, queue_buffering_max_messages=10), NoObserver())
    publisher.publish([Outgoing(b"k", f"{number}".encode(), partition=0) for number in range(500)])
    log = KafkaEventLog(settings)
    assert log.bounds([0]) == {0: (0, 500)}
    log.close()
