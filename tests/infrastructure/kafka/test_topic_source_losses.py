"""What others delete or make again before it was read: reading a topic stops, and says what is lost."""

import pytest

from realtime_pipeline.application.errors import Damaged, UnrecoverableState
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from tests.support.topics import WAIT_S, Topic, read_values

pytestmark = pytest.mark.xdist_group("kafka")


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


def test_a_position_of_another_kind_is_refused(topic: Topic, source: KafkaTopicSource) -> None:
    with pytest.raises(Damaged, match="no release wrote the position 17 of part 0"):
        source.open({"0": "17"})
