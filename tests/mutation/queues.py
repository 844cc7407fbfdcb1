"""Safeguards of sources that are queues, and of the log in Kafka that stores their positions."""

from tests.mutation.mutation import Mutation

TOPIC = "tests/infrastructure/kafka/test_topic_source.py"
TOPIC_LOSSES = "tests/infrastructure/kafka/test_topic_source_losses.py"
PUBLISHER = "tests/infrastructure/kafka/test_contracts.py::TestKafkaSourcePublisher"
STREAM = "tests/infrastructure/redis/test_stream_source.py"
STREAM_LOSSES = "tests/infrastructure/redis/test_stream_source_losses.py"
TRIMMED = f"{STREAM_LOSSES}::test_a_stream_that_was_trimmed_unread_is_not_skipped_silently"
MADE_AGAIN = f"{STREAM_LOSSES}::test_a_stream_that_was_deleted_and_made_again_is_another"
SHARDS = "tests/infrastructure/kinesis/test_shards.py"
KINESIS_LOSSES = "tests/infrastructure/kinesis/test_losses.py"
GOES_ON = "test_reading_goes_on_behind_the_positions"

MUTATIONS = [
    Mutation(
        "earlier readers of a source go on, in Kafka",
        "infrastructure/kafka/source_publisher.py",
        '                    "transactional.id": f"{self._settings.topic}-source-{digest}",\n',
        '                    "transactional.id": f"{self._settings.topic}-source-{id(self)}",\n',
        (f"{PUBLISHER}::test_a_later_claim_ends_an_earlier_one",),
    ),
    Mutation(
        "positions are not stored with the records, in Kafka",
        "infrastructure/kafka/source_publisher.py",
        "            for part, position in positions.items():\n",
        "            for part, position in dict[str, str]().items():\n",
        (f"{PUBLISHER}::test_records_and_positions_are_stored_together",),
    ),
    Mutation(
        "positions have a transaction of their own, in Kafka",
        "infrastructure/kafka/source_publisher.py",
        "            for part, position in positions.items():\n",
        "            producer.commit_transaction(self._timeout_s)\n"
        "            producer.begin_transaction()\n"
        "            for part, position in positions.items():\n",
        (f"{PUBLISHER}::test_a_position_that_cannot_be_written_takes_its_records_with_it",),
    ),
    Mutation(
        "a log that was made again has the positions of the one before, in Kafka",
        "infrastructure/kafka/source_positions.py",
        "            if (name.log_id, name.source) == (log_id, source):\n",
        "            if name.source == source:\n",
        (f"{PUBLISHER}::test_a_log_that_was_made_again_has_no_positions",),
    ),
    Mutation(
        "a topic of others is read with what was aborted",
        "infrastructure/kafka/clients.py",
        '        "isolation.level": "read_committed",\n',
        '        "isolation.level": "read_uncommitted",\n',
        (f"{TOPIC}::test_only_committed_transactions_are_read_and_their_markers_are_passed",),
    ),
    Mutation(
        "a position stays before the markers of transactions",
        "infrastructure/kafka/topic_source.py",
        "            if offset > self._offsets.get(partition, offset):\n",
        "            if False:\n",
        (f"{TOPIC}::test_only_committed_transactions_are_read_and_their_markers_are_passed",),
    ),
    Mutation(
        "the last record of a topic comes again",
        "infrastructure/kafka/topic_source.py",
        "        moved[partition] = offset + 1\n",
        "        moved[partition] = offset\n",
        (f"{TOPIC}::TestKafkaTopicSource::{GOES_ON}",),
    ),
    Mutation(
        "a client that is still fetching is taken for the end of a topic",
        "infrastructure/kafka/topic_source.py",
        "            is_at_end = len(self._ended) == len(self._offsets)\n",
        "            is_at_end = True\n",
        (f"{TOPIC}::test_reading_without_waiting_returns_everything_that_is_there",),
    ),
    Mutation(
        "a topic that was made again while it was read is read on",
        "infrastructure/kafka/topic_source.py",
        "        if topic.topic_id != self._topic_id:\n",
        "        if False:\n",
        (f"{TOPIC_LOSSES}::test_a_topic_created_again_while_it_is_read_is_another",),
    ),
    Mutation(
        "a topic of the same name is the one that was read",
        "infrastructure/kafka/topic_positions.py",
        "        if position.topic_id != topic_id:\n",
        "        if False:\n",
        (f"{TOPIC_LOSSES}::test_a_topic_that_was_deleted_and_created_again_is_another",),
    ),
    Mutation(
        "records of a topic that were deleted unread are passed over",
        "infrastructure/kafka/topic_positions.py",
        "        if not first <= position.offset <= end and not settings.skip_lost:\n",
        "        if False:\n",
        (f"{TOPIC_LOSSES}::test_records_deleted_before_they_were_read_are_not_skipped_silently",),
    ),
    Mutation(
        "partitions that a topic is given are not read",
        "infrastructure/kafka/topic_source.py",
        "            self._assign_added(self._verified())\n",
        "            self._verified()\n",
        (f"{TOPIC}::test_partitions_that_are_added_are_found",),
    ),
    Mutation(
        "a stream of others is trimmed unasked",
        "infrastructure/redis/stream_source.py",
        "        if self._settings.trim:\n",
        "        if True:\n",
        (f"{STREAM}::test_nothing_is_deleted_unless_trim_is_set",),
    ),
    Mutation(
        "an acknowledgement deletes what is behind the position",
        "infrastructure/redis/stream_source.py",
        '            self._execute([(key, ("XTRIM", key, "MINID", entry_id)) for key, entry_id in ids.items()])\n',
        '            self._execute([(key, ("XTRIM", key, "MAXLEN", 0)) for key, entry_id in ids.items()])\n',
        (f"{STREAM}::TestRedisStreamSourceThatTrims::test_an_acknowledgement_may_be_lost_or_repeated",),
    ),
    Mutation(
        "the entry at the position comes again",
        "infrastructure/redis/stream_source.py",
        "            return entries[1:]\n",
        "            return entries\n",
        (f"{STREAM}::TestRedisStreamSource::{GOES_ON}",),
    ),
    Mutation(
        "what others trim while a stream is read is not looked for",
        "infrastructure/redis/stream_source.py",
        "        start = self._start(key, position, self._states([key])[key])\n",
        "        start = position\n",
        (TRIMMED,),
    ),
    Mutation(
        "entries that were trimmed unread are passed over",
        "infrastructure/redis/stream_positions.py",
        "        if self.deleted > position.added:\n",
        "        if False:\n",
        (TRIMMED,),
    ),
    Mutation(
        "a stream that has less than was read is read on",
        "infrastructure/redis/stream_positions.py",
        "        if self.last < position.last or self.added < position.added:\n",
        "        if False:\n",
        (MADE_AGAIN,),
    ),
    Mutation(
        "a stream that is gone is waited for",
        "infrastructure/redis/stream_source.py",
        "            elif position.added:\n",
        "            elif False:\n",
        (MADE_AGAIN,),
    ),
    Mutation(
        "a shard is read before its parents have ended",
        "infrastructure/kinesis/shards.py",
        "        and all(parent not in shards or shards[parent].position.is_ended for parent in shard.parents)\n",
        "        and True\n",
        (
            f"{SHARDS}::test_children_are_read_after_their_parents",
            f"{SHARDS}::test_a_child_waits_for_its_parent_in_every_batch",
        ),
    ),
    Mutation(
        "a merged shard waits for one parent alone",
        "infrastructure/kinesis/source.py",
        ', found.get("AdjacentParentShardId"))\n',
        ", None)\n",
        (f"{SHARDS}::test_a_merged_shard_waits_for_both_parents",),
    ),
    Mutation(
        "that a shard has ended is not stored",
        "infrastructure/kinesis/positions.py",
        '        return f"{_ENDED if self.is_ended else self.sequence_number}@{self.read_to_ms}"\n',
        '        return f"{self.sequence_number}@{self.read_to_ms}"\n',
        (f"{SHARDS}::test_children_are_read_after_their_parents",),
    ),
    Mutation(
        "children are not looked for when a shard ends",
        "infrastructure/kinesis/source.py",
        "            self._listed_s = -LIST_S  # its children can be read now\n",
        "            pass\n",
        (f"{SHARDS}::test_children_are_read_after_their_parents",),
    ),
    Mutation(
        "the last record of a shard comes again",
        "infrastructure/kinesis/source.py",
        '                    ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number, **where\n',
        '                    ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number, **where\n',
        (f"tests/infrastructure/kinesis/test_source.py::TestKinesisSource::{GOES_ON}",),
    ),
    Mutation(
        "an expired iterator is used for ever",
        "infrastructure/kinesis/source.py",
        "                shard.iterator = None\n",
        "                pass\n",
        (f"{SHARDS}::test_an_expired_iterator_is_made_again",),
    ),
    Mutation(
        "records that were older than the retention are passed over",
        "infrastructure/kinesis/positions.py",
        "        if self.read_to_ms and not self.is_ended and now_ms - self.read_to_ms > retention_ms:\n",
        "        if False:\n",
        (f"{KINESIS_LOSSES}::test_what_came_longer_ago_than_the_retention_may_be_lost",),
    ),
    Mutation(
        "the position of an idle shard grows old",
        "infrastructure/kinesis/source.py",
        '        elif not reply["Records"] and shard.position.read_to_ms - shard.stored_ms < STORED_MS_MAX:\n',
        '        elif not reply["Records"]:\n',
        (f"{SHARDS}::test_an_idle_shard_moves_its_position_once_an_hour",),
    ),
    Mutation(
        "a Kinesis stream of the same name is the one that was read",
        "infrastructure/kinesis/source.py",
        "        if any(position.read_to_ms < created_ms for position in read.values()):\n",
        "        if False:\n",
        (f"{KINESIS_LOSSES}::test_a_stream_that_was_deleted_and_created_again_is_another",),
    ),
    Mutation(
        "a shard that is gone unread is passed over",
        "infrastructure/kinesis/source.py",
        "        if gone and not self._settings.skip_lost:\n",
        "        if False:\n",
        (f"{KINESIS_LOSSES}::test_a_shard_that_is_gone_before_its_end_was_read",),
    ),
]
