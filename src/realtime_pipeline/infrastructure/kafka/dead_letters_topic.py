"""The messages of the dead-letter topic: dead letters, and marks that say how each was handled."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import attrs
from confluent_kafka import IsolationLevel, Message

from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.dead_letters import Handling, LetterKey, LetterState
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.formats import FORMAT, LETTER
from realtime_pipeline.infrastructure.kafka.publisher import Headers
from realtime_pipeline.infrastructure.kafka.read_range import open_consumer, read_range
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import topic_bounds

_MARK: Final = "mark"
"""The header that only marks have: the state that the letter is in now."""
_NUMBERS: Final = re.compile(r"[1-9]\d{0,8} [1-9]\d{0,8}", re.ASCII)


@attrs.frozen
class Mark:
    """How a letter was handled; a message in the letter's topic and partition, at a larger offset.

    So retention deletes a letter's mark at the same time as the letter or later, never before.
    """

    key: LetterKey
    handling: Handling


def letter_headers(letter: DeadLetter) -> Headers:
    """Return the headers of a letter, whose message has the key and the value of the record."""
    record = letter.record
    values = {
        "partition": record.partition,
        "position": record.position,
        "appended_at_ms": record.appended_at_ms,
        "reason": letter.reason,
        "origin": record.origin,
        "customer_id": letter.customer_id,
        FORMAT: LETTER.in_words,
    }
    return [(name, str(value)) for name, value in values.items() if value is not None]


def mark_headers(mark: Mark) -> Headers:
    """Return the headers of a mark, whose message has no value.

    They name the letter's position in another way than a letter's headers do, so that no mark is read as a letter.
    """
    handling = mark.handling
    name = "-".join(map(str, mark.key))
    values = {"letter": name, "at_ms": handling.at_ms, "note": handling.note, FORMAT: LETTER.in_words}
    return [(_MARK, handling.state.value), *((name, str(value)) for name, value in values.items())]


def decode_message(message: Message) -> DeadLetter | Mark | None:
    """Decode a message of the topic; return None if another program wrote it.

    Raises:
        NewerRelease: a newer release wrote the message in a format that this one cannot read.
    """
    raw = dict(message.headers() or {})
    headers = {name: value.decode(errors="replace") for name, value in raw.items() if isinstance(value, bytes)}
    if _NUMBERS.fullmatch(headers.get(FORMAT, "")):
        LETTER.check([int(number) for number in headers[FORMAT].split()])
    try:
        if _MARK in headers:
            partition, position, appended_at_ms = map(int, headers["letter"].split("-"))
            handling = Handling(LetterState(headers[_MARK]), int(headers["at_ms"]), headers.get("note", ""))
            return Mark(LetterKey(partition, position, appended_at_ms), handling)
        key = LetterKey(int(headers["partition"]), int(headers["position"]), int(headers["appended_at_ms"]))
        reason = headers["reason"]
    except (KeyError, ValueError):
        return None
    customer_id = headers.get("customer_id")
    record = Record(
        key.partition, key.position, message.key(), message.value() or b"", key.appended_at_ms, headers.get("origin")
    )
    return DeadLetter(record, reason, None if customer_id is None else CustomerId(customer_id))


class DeadLetterTopic:
    """Reads the partitions of the dead-letter topic, each up to a given end offset."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def bounds(self, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> Mapping[int, tuple[int, int]]:
        """Return the low and the high watermark offset of each partition."""
        return topic_bounds(self._settings, self._settings.dead_letters_topic, isolation)

    def read(
        self, ranges: Mapping[int, tuple[int, int]], wait_s: float, limit: int | None = None
    ) -> Iterator[tuple[int, int, DeadLetter | Mark]]:
        """Read partitions one after the other; yield each letter and mark with its partition and offset.

        Args:
            ranges: The offsets [from, to) to read of each partition.
            wait_s: How long to wait for the next message.
            limit: How many letters to read of each partition at most.

        Raises:
            Unavailable: Kafka does not answer, or an open transaction hides the end of a range for `wait_s`.
        """
        name = self._settings.dead_letters_topic
        with open_consumer(self._settings, "the dead letters") as consumer:
            for partition, (begin, end) in sorted(ranges.items()):
                letters = 0
                for message in read_range(consumer, name, partition, begin, end, wait_s):
                    found = decode_message(message)
                    if found is not None:
                        yield partition, message.offset() or 0, found
                        letters += isinstance(found, DeadLetter)
                    if letters == limit:
                        break


def select_ranges(
    ranges: Mapping[int, tuple[int, int]], partitions: Collection[int] | None
) -> dict[int, tuple[int, int]]:
    """Return the ranges of a topic's partitions that hold the outputs of these partitions of the log."""
    if partitions is None or not ranges:
        return dict(ranges)
    numbers = {number % len(ranges) for number in partitions}
    return {number: ranges[number] for number in numbers}
