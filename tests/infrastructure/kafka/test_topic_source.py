"""A topic of others as a source, on a real broker."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from harness.checking.compare import compare
from harness.services.kafka import RESTART_OPTIONS, KafkaBroker, kafka_missing_reason
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Damaged, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.source import Source, SourceBatch, SourceRecord
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.contracts.source import SourceContract
from tests.support import servers
from tests.support.bridges import (
    expected_ids,
    ids_by_customer,
    preparing,
    running,
    stop_the_log,
    view,
)
from tests.support.histories import embedded
from tests.support.queues import produce, wait_until_led

pytestmark = pytest.mark.xdist_group("kafka")

WAIT_S = 10.0
QUIET: dict[str, str | int] = {"log_level": 2}  # clients outlive the broker at the end of the tests


class Topic:
    """A topic of others, and what others do with it."""

    def __init__(self, partitions: int = 1, broker: str | None = None) -> None:
        self.name = servers.unique("others")
        self.brokers = broker or servers.kafka_address()
        self.admin = AdminClient({**QUIET, "bootstrap.servers": self.brokers})
        self.create(partitions)

    def create(self, partitions: int = 1) -> None:
        self.admin.create_topics([NewTopic(self.name, partitions, 1)])[self.name].result(WAIT_S)
        wait_until_led(self.brokers, self.name)

    def delete(self) -> None:
        self.admin.delete_topics([self.name], operation_timeout=WAIT_S)[self.name].result(WAIT_S)
        deadline_s = time.monotonic() + WAIT_S
        while self.name in self.admin.list_topics(timeout=WAIT_S).topics:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def delete_records(self, before: int, partition: int = 0) -> None:
        topic_partition = TopicPartition(self.name, partition, before)
        for done in self.admin.delete_records([topic_partition]).values():
            done.result(WAIT_S)

    def produce(self, *values: bytes | None, partition: int = 0) -> None:
        options: dict[str, str | int | float | bool] = {**QUIET, "bootstrap.servers": self.brokers, "linger.ms": 0}
        produce(options, self.name, partition, values)

    def enlarge(self, partitions: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(WAIT_S)
        wait_until_led(self.brokers, self.name)

    @property
    def settings(self) -> KafkaTopicSettings:
        return KafkaTopicSettings(self.name, self.brokers, request_timeout_ms=3_000)

    def source(self, **changes: Any) -> KafkaTopicSource:
        return KafkaTopicSource("others", attrs.evolve(self.settings, **changes))


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def source(topic: Topic) -> Iterator[KafkaTopicSource]:
    made = topic.source()
    yield made
    made.close()


def read_values(source: Source, count: int) -> tuple[list[object], dict[str, str]]:
    values, positions = list[object](), dict[str, str]()
    deadline_s = time.monotonic() + WAIT_S
    while len(values) < count:
        assert time.monotonic() < deadline_s
        batch = source.read(100, 0.5)
        if batch is not None:
            values += [record.value for record in batch.records]
            positions |= batch.positions
    return values, positions


def open_and_read(source: Source) -> None:
    source.open({})
    read_values(source, 1)


class TestKafkaTopicSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _topic(self, topic: Topic) -> None:
        self.topic = topic

    def source(self) -> Source:
        return self.topic.source()

    def fill(self, *names: str) -> None:
        self.topic.produce(*(b'{"name":"%s"}' % name.encode() for name in names))

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, bytes)
        return str(msgspec.json.decode(record.value)["name"])


def test_a_record_is_named_by_topic_partition_and_offset(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(b"first", b"second")
    source.open({})
    batch = source.read(10, WAIT_S)
    assert batch is not None
    if len(batch.records) < 2:
        batch = source.read(10, WAIT_S)
    assert batch is not None
    last = batch.records[-1]
    assert last.origin == f"{topic.name}:0:1"
    topic_id, partition, offset = last.id.split(":")
    assert (partition, offset) == ("0", "1")
    assert batch.positions == {"0": f"{topic_id}:2"}


def test_reading_without_waiting_returns_everything_that_is_there(topic: Topic, source: KafkaTopicSource) -> None:
    """`catch_up` ends at the first None: that must be the end, not a client that is still fetching."""
    topic.produce(*(b"%d" % number for number in range(1_000)))
    source.open({})
    values = list[object]()
    while (batch := source.read(300, 0.0)) is not None:
        values += [record.value for record in batch.records]
    assert values == [b"%d" % number for number in range(1_000)]
    assert source.lag() == "0 records"


def test_a_record_without_a_value_is_skipped(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(None, b"a", None, b"b", None)
    source.open({})
    values, positions = read_values(source, 2)
    while (batch := source.read(10, 0.0)) is not None:
        assert batch.records == ()
        positions |= batch.positions
    assert values == [b"a", b"b"]
    assert positions["0"].endswith(":5")


def test_only_committed_transactions_are_read_and_their_markers_are_passed(
    topic: Topic, source: KafkaTopicSource
) -> None:
    """A position before a marker would look lost once retention has deleted the marker."""
    producer = Producer(
        {**QUIET, "bootstrap.servers": servers.kafka_address(), "transactional.id": servers.unique("other")}
    )
    producer.init_transactions(WAIT_S)
    for value, commit in ((b"no", False), (b"yes", True), (b"no", False)):
        producer.begin_transaction()
        producer.produce(topic.name, value, partition=0)
        producer.flush(WAIT_S)
        (producer.commit_transaction if commit else producer.abort_transaction)(WAIT_S)
    source.open({})
    values, positions = read_values(source, 1)
    while (batch := source.read(10, 0.0)) is not None:
        values += batch.records
        positions |= batch.positions
    assert values == [b"yes"]
    assert positions["0"].endswith(":6")
    topic.delete_records(6)
    source.open(positions)
    topic.produce(b"later")
    assert read_values(source, 1)[0] == [b"later"]


def test_partitions_that_are_added_are_found(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(b"a")
    source.open({})
    _, positions = read_values(source, 1)
    topic.enlarge(3)
    topic.produce(b"b", partition=2)
    values, later = read_values(source, 1)
    assert (values, list(later)) == ([b"b"], ["2"])
    topic.produce(b"c", partition=1)
    source.open(positions | later)
    assert read_values(source, 1)[0] == [b"c"]


def test_finding_partitions_doubles_nothing_that_was_fetched_ahead(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(*(b"%d" % number for number in range(1_000)))
    source.open({})
    values, _ = read_values(source, 1)
    topic.enlarge(2)
    topic.produce(b"other", partition=1)
    while (batch := source.read(7, 0.0)) is not None:
        values += [record.value for record in batch.records]
    values += read_values(source, 1)[0] if b"other" not in values else []
    values.remove(b"other")
    assert values == [b"%d" % number for number in range(1_000)]


def test_records_deleted_before_they_were_read_are_not_skipped_silently(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(*(b"%d" % number for number in range(10)))
    source.open({})
    batch = source.read(2, WAIT_S)
    assert batch is not None
    read = int(batch.positions["0"].rpartition(":")[2])
    topic.delete_records(6)
    with pytest.raises(UnrecoverableState, match=rf"partition 0, .* deleted the offsets {read} to 5; skip_lost"):
        source.open(batch.positions)
    going_on = topic.source(skip_lost=True)
    going_on.open(batch.positions)
    assert read_values(going_on, 4)[0] == [b"6", b"7", b"8", b"9"]
    going_on.close()


def test_a_topic_that_has_lost_its_end_is_noticed(topic: Topic, source: KafkaTopicSource) -> None:
    """As an election of a replica that was behind does it."""
    topic.produce(b"a", b"b")
    source.open({})
    _, positions = read_values(source, 2)
    beyond = {"0": positions["0"].replace(":2", ":7")}
    with pytest.raises(
        UnrecoverableState, match=r"up to offset 7 and has lost its end: it ends at offset 2; skip_lost"
    ):
        source.open(beyond)
    going_on = topic.source(skip_lost=True)
    going_on.open(beyond)
    topic.produce(b"c")
    assert read_values(going_on, 1)[0] == [b"c"]
    going_on.close()


def test_records_deleted_while_it_reads_stop_it(topic: Topic) -> None:
    """The client fetches ahead, so the broker must have more than the client holds."""
    source = topic.source(librdkafka={"fetch.message.max.bytes": 1_000, "queued.min.messages": 1})
    for number in range(50):  # each in a batch of its own: brokers return whole batches
        topic.produce(b"%d" % number * 500)
    source.open({})
    assert source.read(1, WAIT_S) is not None
    topic.delete_records(49)
    with pytest.raises(UnrecoverableState, match="deleted the offsets"):
        read_values(source, 50)
    source.close()


def test_a_topic_that_was_deleted_and_created_again_is_another(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(b"old", b"old")
    source.open({})
    _, positions = read_values(source, 2)
    topic.delete()
    topic.create()
    topic.produce(*[b"new"] * 5)
    with pytest.raises(UnrecoverableState, match=r"was deleted and created again: .* skip_lost = true reads the new"):
        source.open(positions)
    going_on = topic.source(skip_lost=True)
    going_on.open(positions)
    assert read_values(going_on, 5)[0] == [b"new"] * 5
    going_on.close()


def test_a_topic_created_again_while_it_is_read_is_another(topic: Topic, source: KafkaTopicSource) -> None:
    topic.produce(b"old", b"old")
    source.open({})
    read_values(source, 2)
    topic.delete()
    topic.create()
    topic.produce(*[b"new"] * 5)
    with pytest.raises(UnrecoverableState, match=r"deleted and created again|deleted the offsets"):
        read_values(source, 1)


def test_a_missing_topic_must_be_created_by_a_person(topic: Topic) -> None:
    source = topic.source(topic="nowhere")
    with pytest.raises(Unavailable, match=r"others: there is no topic nowhere at .*: create it") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)


def test_a_position_of_another_kind_is_refused(topic: Topic, source: KafkaTopicSource) -> None:
    with pytest.raises(Damaged, match="no release wrote the position 17 of part 0"):
        source.open({"0": "17"})


def test_a_broker_that_does_not_answer_is_unreachable(topic: Topic) -> None:
    source = topic.source(brokers="127.0.0.1:9", request_timeout_ms=500)
    with pytest.raises(Unreachable):
        source.open({})


def test_a_user_who_may_not_read_the_topic_is_refused(topic: Topic) -> None:
    signed_in = servers.kafka_settings_signed_in()
    settings = KafkaTopicSettings(
        topic.name,
        signed_in.brokers,
        username=signed_in.username,
        password=signed_in.password,
        librdkafka=signed_in.librdkafka,
    )
    assert "a secret" not in repr(settings)
    denial = ("*", AclOperation.READ, AclPermissionType.DENY)
    rule = AclBinding(
        ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL, f"User:{signed_in.username}", *denial
    )
    for made in topic.admin.create_acls([rule]).values():
        made.result(WAIT_S)
    source = KafkaTopicSource("others", settings)
    topic.produce(b"a")
    try:
        with pytest.raises(Unavailable, match="Kafka does not let this user in") as raised:
            open_and_read(source)
        assert not isinstance(raised.value, Unreachable)
    finally:
        source.close()
        for deleted in topic.admin.delete_acls(
            [
                AclBindingFilter(
                    ResourceType.TOPIC, topic.name, ResourcePatternType.LITERAL, f"User:{signed_in.username}", *denial
                )
            ]
        ).values():
            deleted.result(WAIT_S)


def test_a_wrong_password_is_refused(topic: Topic) -> None:
    signed_in = servers.kafka_settings_signed_in()
    source = topic.source(
        brokers=signed_in.brokers,
        username=signed_in.username,
        password="guess",  # noqa: S106
        librdkafka=signed_in.librdkafka,
    )
    with pytest.raises(Unavailable, match="does not let this user in") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)


def test_offsets_are_committed_to_a_group_for_monitoring(topic: Topic) -> None:
    group = servers.unique("monitoring")
    source = topic.source(group=group)
    topic.produce(b"a", b"b")
    source.open({})
    _, positions = read_values(source, 2)
    source.acknowledge(positions)
    source.close()
    seen = Consumer({**QUIET, "bootstrap.servers": servers.kafka_address(), "group.id": group})
    assert [found.offset for found in seen.committed([TopicPartition(topic.name, 0)], WAIT_S)] == [2]
    seen.close()


def test_offsets_that_cannot_be_committed_are_warned_of(topic: Topic) -> None:
    """A member of the group makes the broker refuse commits of others."""
    group = servers.unique("monitoring")
    member = Consumer({**QUIET, "bootstrap.servers": servers.kafka_address(), "group.id": group})
    member.subscribe([topic.name])
    while not member.assignment():
        member.poll(0.1)
    source = topic.source(group=group)
    topic.produce(b"a")
    source.open({})
    _, positions = read_values(source, 1)
    source.acknowledge(positions)
    deadline_s = time.monotonic() + WAIT_S
    while not source.warning():
        assert time.monotonic() < deadline_s
        source.read(1, 0.1)
    assert source.warning().startswith(f"the offsets of group {group} are not committed, reading goes on")
    source.close()
    member.close()


def test_a_broker_that_stops_for_a_while_loses_and_doubles_nothing(topic: Topic, tmp_path: Path) -> None:
    topic.produce(*(view(number) for number in range(100)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        source = topic.source(request_timeout_ms=1_000)
        with running(pipeline, source) as run:
            run.wait_until(lambda progress: progress.published == 100)
            with servers.kafka_stopped():
                run.wait_until(lambda progress: progress.problem != "")
            topic.produce(*(view(number) for number in range(100, 200)))
            run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
        assert ids_by_customer(pipeline) == expected_ids(range(200))
        pipeline.process()
        assert compare(pipeline)[1] == []


def test_a_broker_that_is_restarted_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A broker that has just started may not know its topics yet."""
    if kafka_missing_reason() is not None:
        pytest.skip(str(kafka_missing_reason()))
    broker = KafkaBroker(tmp_path / "kafka")
    broker.process.start()
    try:
        topic = Topic(broker=broker.endpoint)
        topic.produce(*map(view, range(100)))
        with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
            with running(pipeline, topic.source(request_timeout_ms=1_000)) as run:
                run.wait_until(lambda progress: progress.published == 100)
                broker.process.kill()
                run.wait_until(lambda progress: progress.problem != "")
                broker.process.start(*RESTART_OPTIONS)
                topic.produce(*map(view, range(100, 200)))
                run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            assert ids_by_customer(pipeline) == expected_ids(range(200))
    finally:
        broker.process.kill()


def test_catching_up_publishes_what_is_there(topic: Topic, tmp_path: Path) -> None:
    topic.produce(*(view(number) for number in range(50)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        runs = [pipeline.container.run_source().catch_up(topic.source(), preparing(pipeline)) for _ in range(2)]
        assert [run.published for run in runs] == [50, 0]
        assert ids_by_customer(pipeline) == expected_ids(range(50))


def test_a_large_backlog_is_read_in_batches_of_some_megabytes(topic: Topic, source: KafkaTopicSource) -> None:
    for _ in range(30):
        topic.produce(b"x" * 900_000)
    source.open({})
    sizes = list[int]()
    while (batch := source.read(2_000, 0.0)) is not None:
        assert isinstance(batch, SourceBatch)
        sizes.append(len(batch.records))
    assert sum(sizes) == 30
    assert max(sizes) < 30


@pytest.mark.parametrize(
    "change", [{"topic": ""}, {"brokers": ""}, {"request_timeout_ms": 0}, {"queued_max_messages_kbytes": 2**31}]
)
def test_settings_out_of_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        attrs.evolve(KafkaTopicSettings("others"), **change)


def test_a_log_that_takes_nothing_stops_the_reading(topic: Topic, tmp_path: Path) -> None:
    """One batch is in memory, and the client's queue has a limit; the rest stays in the topic."""
    stop_the_log(embedded("sqlite", tmp_path), topic.source(), lambda numbers: topic.produce(*map(view, numbers)))
