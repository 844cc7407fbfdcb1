"""The offsets that the workers' group has committed: up to where outputs were emitted."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from realtime_pipeline.application.errors import Fenced, Unreachable
from realtime_pipeline.infrastructure.kafka.clients import translate_error
from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings

EPOCH: Final = "epoch="
"""What the metadata of offsets begins with that workers have committed."""
UNKNOWN: Final = "unknown"
"""The metadata of an offset that stands for none, while it is told from the store what it should be."""


class GroupOffsets:
    """Offsets as workers commit them, told by their metadata from what other tools write.

    Kafka deletes them when the group has had no members for `offsets.retention.minutes`; tools delete and change them.
    """

    def __init__(self, settings: KafkaSettings, log: KafkaEventLog) -> None:
        self._settings = settings
        self._log = log

    def known(self, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Read offsets, once no transaction is open that holds some; None for what no worker has committed."""
        places = [TopicPartition(self._settings.topic, partition) for partition in partitions]
        wait_s = (self._settings.request_timeout_ms + self._settings.transaction_timeout_ms) / 1000
        try:
            found = self._log.consumer.committed(places, wait_s)
        except KafkaException as error:
            raise translate_error(error.args[0], "the group's offsets") from None
        for place in found:
            if place.error is not None:
                raise Unreachable(f"the group's offset of partition {place.partition}: {place.error.str()}")
        return {place.partition: place.offset if _is_a_workers(place) else None for place in found}

    def place(self, partition: int, epoch: int, position: int) -> TopicPartition:
        """An offset to commit."""
        return TopicPartition(self._settings.topic, partition, position, metadata=f"{EPOCH}{epoch}")

    def unknown(self, partition: int) -> TopicPartition:
        """An offset to commit where none is known: who is no owner is refused all the same."""
        return TopicPartition(self._settings.topic, partition, 0, metadata=UNKNOWN)

    def commit(self, places: list[TopicPartition]) -> None:
        """Commit offsets as the group's member.

        Raises:
            Fenced: it is none any more.
            KafkaException: the group refused them.
        """
        self.membership()
        self._commit(places)

    def restore(self, positions: Mapping[int, int]) -> None:
        """Commit offsets while the group has no members."""
        try:
            self._commit([self.place(partition, 0, position) for partition, position in positions.items()])
        except KafkaException as error:
            raise translate_error(error.args[0], "the group's offsets") from None

    def membership(self) -> Any:
        """What the group knows this worker by. Without it brokers take offsets from anybody."""
        membership = self._log.consumer.consumer_group_metadata()
        if not self._log.consumer.memberid():  # in this order: what is lost in between is not got back before a poll
            raise Fenced("this worker is no member of its group any more")
        return membership

    def _commit(self, places: list[TopicPartition]) -> None:
        for place in self._log.consumer.commit(offsets=places, asynchronous=False) or []:
            if place.error is not None:
                raise KafkaException(place.error)


def _is_a_workers(place: TopicPartition) -> bool:
    return place.offset >= 0 and (place.metadata or "").startswith(EPOCH)
