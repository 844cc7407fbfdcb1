"""Positions in a topic of others: its id and an offset, and where reading begins."""

from collections.abc import Mapping

import attrs

from realtime_pipeline.application.errors import Damaged, UnrecoverableState
from realtime_pipeline.infrastructure.kafka.settings import KafkaTopicSettings


@attrs.frozen
class TopicPosition:
    """The id of a topic, and the next offset to read of a partition."""

    topic_id: str
    offset: int

    def encode(self) -> str:
        """Return the position as text."""
        return f"{self.topic_id}:{self.offset}"

    @classmethod
    def decode(cls, part: str, position: str) -> "TopicPosition":
        """Read a position from text.

        Raises:
            Damaged: no release wrote it.
        """
        topic_id, _, offset = position.rpartition(":")
        if not topic_id or not offset.isdecimal() or not part.isdecimal():
            raise Damaged(f"no release wrote the position {position} of part {part} of a source in Kafka")
        return cls(topic_id, int(offset))


def start_offsets(
    settings: KafkaTopicSettings,
    topic_id: str,
    bounds: Mapping[int, tuple[int, int]],
    positions: Mapping[str, TopicPosition],
) -> dict[int, int]:
    """Find the offset of each partition at which reading goes on.

    Args:
        settings: The topic, and whether to skip what is lost.
        topic_id: The topic's id now.
        bounds: By partition, the first offset still held and the offset after the last one.
        positions: By partition, as text, the position that the log has.

    Raises:
        UnrecoverableState: the topic is another, or does not have the record at a position any more.
    """
    if settings.skip_lost:
        positions = {part: position for part, position in positions.items() if position.topic_id == topic_id}
    starts = {}
    for number, (first, end) in bounds.items():
        position = positions.get(str(number), TopicPosition(topic_id, first))
        if position.topic_id != topic_id:
            raise UnrecoverableState(
                f"topic {settings.topic} was deleted and created again: what was not read of the old one is lost; "
                "skip_lost = true reads the new one from its start"
            )
        if not first <= position.offset <= end and not settings.skip_lost:
            what = (
                f"deleted the offsets {position.offset} to {first - 1}"
                if position.offset < first
                else f"lost its end: it ends at offset {end}"
            )
            raise UnrecoverableState(
                f"topic {settings.topic}, partition {number}, was read up to offset {position.offset} and has {what}; "
                "skip_lost = true goes on with what is there"
            )
        starts[number] = min(max(position.offset, first), end)
    return starts
