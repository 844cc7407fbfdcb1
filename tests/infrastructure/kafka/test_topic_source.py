"""A topic of others as a source, on a real broker."""

from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.source import Source, SourceBatch, SourceRecord
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.contracts.source import SourceContract
from tests.support import servers
from tests.support.bridges import (
    expected_ids,
    ids_by_customer,
    preparing,
    view,
)
from tests.support.histories import embedded
from tests.support.topics import QUIET, WAIT_S, Topic, read_values

pytestmark = pytest.mark.xdist_group("kafka")


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
