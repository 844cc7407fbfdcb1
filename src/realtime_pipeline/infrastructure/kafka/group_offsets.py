"""The committed offsets of the workers' consumer group: the positions up to which outputs were emitted."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from realtime_pipeline.application.errors import Fenced, Unreachable
from realtime_pipeline.infrastructure.kafka.clients import translate_error
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

EPOCH: Final = "epoch="
"""How the metadata of an offset begins that a worker has committed."""
UNKNOWN: Final = "unknown"
"""The metadata of a placeholder, committed while the right offset is recovered from the store."""


class GroupOffsets:
    """Reads and commits the group's offsets. Their metadata tells workers' offsets from those that other tools commit.

    Kafka deletes committed offsets when the group has had no members for `offsets.retention.minutes`, and other tools
    may delete or change them.
    """

    def __init__(self, settings: KafkaSettings, log: KafkaEventLog) -> None:
        self._settings = settings
        self._log = log

    def committed(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read committed offsets, once no open transaction holds some; None for those that no worker has committed."""
        topic_partitions = [TopicPartition(self._settings.topic, partition) for partition in partitions]
        wait_s = (self._settings.request_timeout_ms + self._settings.transaction_timeout_ms) / 1000
        try:
            found = self._log.consumer.committed(topic_partitions, wait_s)
        except KafkaException as error:
            raise translate_error(error.args[0], "the group's offsets") from None
        for offset in found:
            if offset.error is not None:
                raise Unreachable(f"the group's offset of partition {offset.partition}: {offset.error.str()}")
        return {offset.partition: offset.offset if _is_from_worker(offset) else None for offset in found}

    def offset_of(self, partition: int, epoch: int, position: int) -> TopicPartition:
        """Return the offset to commit for a position."""
        return TopicPartition(self._settings.topic, partition, position, metadata=f"{EPOCH}{epoch}")

    def placeholder(self, partition: int) -> TopicPartition:
        """Return an offset to commit while the right one is unknown, to see whether this worker is the owner."""
        return TopicPartition(self._settings.topic, partition, 0, metadata=UNKNOWN)

    def commit(self, offsets: list[TopicPartition]) -> None:
        """Commit offsets as a member of the group.

        Raises:
            Fenced: this worker is not a member any more.
            KafkaException: the group coordinator rejected the commit.
        """
        self.group_metadata()
        self._commit(offsets)

    def restore(self, positions: Mapping[int, int]) -> None:
        """Commit offsets while the group has no members."""
        try:
            self._commit([self.offset_of(partition, 0, position) for partition, position in positions.items()])
        except KafkaException as error:
            raise translate_error(error.args[0], "the group's offsets") from None

    def group_metadata(self) -> Any:
        """Return this worker's member id and generation, by which the coordinator fences commits of earlier owners.

        Raises:
            Fenced: this worker is not a member any more; without a member id brokers would accept its offsets.
        """
        metadata = self._log.consumer.consumer_group_metadata()
        if not self._log.consumer.memberid():  # checked second: a membership lost in between returns only by a poll
            raise Fenced("this worker is no member of its group any more")
        return metadata

    def _commit(self, offsets: list[TopicPartition]) -> None:
        for offset in self._log.consumer.commit(offsets=offsets, asynchronous=False) or []:
            if offset.error is not None:
                raise KafkaException(offset.error)


def _is_from_worker(offset: TopicPartition) -> bool:
    return offset.offset >= 0 and (offset.metadata or "").startswith(EPOCH)
