"""Dead letters as messages of their topic, and the marks beside them that say what was done about each."""

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
from realtime_pipeline.infrastructure.kafka.read_range import read_range, reader
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import topic_bounds

_MARK: Final = "mark"
"""The header that only marks have: the state they put a letter into."""
_NUMBERS: Final = re.compile(r"[1-9]\d{0,8} [1-9]\d{0,8}", re.ASCII)


@attrs.frozen
class Mark:
    """What was done about a letter, as a message of the letter's own topic and partition, behind it.

    So the retention that ends a letter ends its mark at the same time or later, never before.
    """

    key: LetterKey
    handling: Handling


def letter_headers(letter: DeadLetter) -> Headers:
    """The headers of a letter, beside the record's own key and value."""
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
    """A mark, which has no value. It does not name its letter's place as letters do: it is not to be taken for one."""
    handling = mark.handling
    name = "-".join(map(str, mark.key))
    stated = {"letter": name, "at_ms": handling.at_ms, "note": handling.note, FORMAT: LETTER.in_words}
    return [(_MARK, handling.state.value), *((name, str(value)) for name, value in stated.items())]


def read_message(message: Message) -> DeadLetter | Mark | None:
    """The letter or the mark that a message is; None where somebody else wrote it.

    Raises:
        NewerRelease: a newer release wrote it in a way that this one cannot read.
    """
    headers = dict(message.headers() or {})
    stated = {name: value.decode(errors="replace") for name, value in headers.items() if isinstance(value, bytes)}
    if _NUMBERS.fullmatch(stated.get(FORMAT, "")):
        LETTER.check([int(number) for number in stated[FORMAT].split()])
    try:
        if _MARK in stated:
            partition, position, appended_at_ms = map(int, stated["letter"].split("-"))
            handling = Handling(LetterState(stated[_MARK]), int(stated["at_ms"]), stated.get("note", ""))
            return Mark(LetterKey(partition, position, appended_at_ms), handling)
        key = LetterKey(int(stated["partition"]), int(stated["position"]), int(stated["appended_at_ms"]))
        reason = stated["reason"]
    except (KeyError, ValueError):
        return None
    customer_id = stated.get("customer_id")
    record = Record(
        key.partition, key.position, message.key(), message.value() or b"", key.appended_at_ms, stated.get("origin")
    )
    return DeadLetter(record, reason, None if customer_id is None else CustomerId(customer_id))


class LettersTopic:
    """Reads the topic's partitions, each up to an end that is known before."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def bounds(self, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> Mapping[int, tuple[int, int]]:
        """The first offset still held, and the one after the last that such readers see, of each partition."""
        return topic_bounds(self._settings, self._settings.dead_letters_topic, isolation)

    def read(
        self, ranges: Mapping[int, tuple[int, int]], wait_s: float, limit: int | None = None
    ) -> Iterator[tuple[int, int, DeadLetter | Mark]]:
        """Read partitions [from, to), one after the other, each to its `limit`-th letter; yield the partition and
        offset of each letter and mark with it.

        Raises:
            Unavailable: Kafka does not answer, or does not come to the end of a range within `wait_s`: an open
                transaction hides it.
        """
        name = self._settings.dead_letters_topic
        with reader(self._settings, "the dead letters") as consumer:
            for partition, (begin, end) in sorted(ranges.items()):
                letters = 0
                for message in read_range(consumer, name, partition, begin, end, wait_s):
                    found = read_message(message)
                    if found is not None:
                        yield partition, message.offset() or 0, found
                        letters += isinstance(found, DeadLetter)
                    if letters == limit:
                        break


def wanted(ranges: Mapping[int, tuple[int, int]], partitions: Collection[int] | None) -> dict[int, tuple[int, int]]:
    """The partitions of the topic that hold the letters of these partitions of the log."""
    if partitions is None:
        return dict(ranges)
    numbers = {number % len(ranges) for number in partitions}
    return {number: ranges[number] for number in numbers}
