"""PublishEvents: append events to the log, each under its customer's key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ports.decoding import Decode, EncodeEvent, FindRoute, Route
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.records import Record, Rejected

BATCH_RECORDS: Final = 2_000
HELD_RECORDS_MAX: Final = 10_000
HELD_BYTES_MAX: Final = 8 << 20
"""How many records, and bytes of them, `LinePublisher` buffers before the first event at most."""


@attrs.frozen
class Submission:
    """An event to publish: its bytes, in any accepted schema, and its origin, as a file and line."""

    value: bytes
    origin: str | None = None


class PublishEvents:
    """Publishes events, in order and in batches; a batch is durable when the call that published it returns.

    The log is opened, and created if there is none, when the first event is appended: a call that refuses its events
    creates no log.
    """

    def __init__(
        self,
        publisher: Callable[[], EventPublisher],
        decode: Decode,
        find_route: FindRoute,
        encode_event: EncodeEvent,
    ) -> None:
        self._publisher = publisher
        self._decode = decode
        self._find_route = find_route
        self._encode_event = encode_event

    def __call__(self, values: Sequence[bytes]) -> int:
        """Publish events, all or none; return how many.

        Raises:
            InvalidEvents: an event is not valid, or is a copy that a worker made; the message gives its number, from 1,
                and the reason.
        """
        records = []
        for number, value in enumerate(values, start=1):
            reason, route = self._rejection(value), self._find_route(value)
            if route.is_workers:
                reason = "copies (forwarded, history_merged) are for workers to make: publish the original"
            if reason is not None:
                raise InvalidEvents(f"event {number} of {len(values)}: {reason}")
            records.append(_outgoing(Submission(value), route))
        self._append(records)
        return len(records)

    def documents(self, events: Sequence[Mapping[str, object]]) -> int:
        """Publish event documents, all or none; return how many.

        Raises:
            InvalidEvents: `events` is no list, JSON cannot hold an event, or an event is refused as by `__call__`.
        """
        if isinstance(events, Mapping):
            raise InvalidEvents("events must be a list: put a single event into a list")
        return self([self._encoded(f"event {number}", event) for number, event in enumerate(events, 1)])

    def publish_one(self, event: Mapping[str, object]) -> tuple[int, int]:
        """Publish one event; return its partition and position (-1 if the log does not report it).

        Raises:
            InvalidEvents: the event is not valid.
        """
        value = self._encoded("event", event)
        reason = self._rejection(value)
        if reason is not None:
            raise InvalidEvents(reason)
        record = _outgoing(Submission(value), self._find_route(value))
        ((partition, end),) = self._publisher().publish([record]).items()
        return partition, end - 1

    def stream(self, submissions: Iterable[Submission]) -> Iterator[int]:
        """Publish records without validating them (the worker makes dead letters of invalid ones); yield batch sizes.

        The iterator is lazy: each batch is published when the iterator is advanced.
        """
        waiting = iter(submissions)
        while batch := list(islice(waiting, BATCH_RECORDS)):
            yield self.batch(batch)

    def batch(self, submissions: Sequence[Submission]) -> int:
        """Publish a batch without validating it; return its size. The batch is durable on return."""
        self._append([_outgoing(submission, self._find_route(submission.value)) for submission in submissions])
        return len(submissions)

    def lines(self) -> "LinePublisher":
        """Return a publisher for the lines of one file."""
        return LinePublisher(self._append, self._rejection)

    def _encoded(self, name: str, event: Mapping[str, object]) -> bytes:
        try:
            return self._encode_event(event)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidEvents(f"{name} cannot be written as JSON: {error}") from None

    def _append(self, records: Sequence[Outgoing]) -> None:
        if records:
            self._publisher().publish(records)

    def _rejection(self, value: bytes) -> str | None:
        """Return why an event is not valid; None if it is."""
        decoded = self._decode(Record(0, 0, None, value, END_OF_TIME))
        return decoded.reason if isinstance(decoded, Rejected) else None


class LinePublisher:
    """Publishes the lines of a file. It buffers lines that are no valid events until the first valid one.

    So a file without any event is refused as a whole, while single invalid lines become dead letters. A full buffer
    (`HELD_RECORDS_MAX` lines or `HELD_BYTES_MAX` bytes) is published as it is.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Outgoing]], None],
        rejection: Callable[[bytes], str | None],
    ) -> None:
        self._append = append
        self._rejection = rejection
        self._buffered: list[Outgoing] = []
        self._buffered_bytes = 0
        self._is_buffering, self._has_event = True, False
        self._first_reason = ""

    def publish(self, records: Sequence[Outgoing]) -> int:
        """Publish records, or buffer them; return how many were published. These are durable on return."""
        self._has_event = self._has_event or any(map(self._is_event, records))
        self._buffered += records
        self._buffered_bytes += sum(len(record.value) for record in records)
        self._is_buffering = (
            self._is_buffering
            and not self._has_event
            and len(self._buffered) < HELD_RECORDS_MAX
            and self._buffered_bytes < HELD_BYTES_MAX
        )
        if self._is_buffering:
            return 0
        published, self._buffered = self._buffered, []
        self._append(published)
        return len(published)

    def end(self) -> None:
        """End the file. What is still buffered is not published.

        Raises:
            InvalidEvents: the file has lines, and none of them is an event; the message gives the reason of the first.
        """
        if self._first_reason and not self._has_event:
            published = "" if self._is_buffering else "; its lines are published, and will be dead letters"
            hint = " (for CSV, Parquet and text see --format)" if ": not_json" in self._first_reason else ""
            raise InvalidEvents(f"not one line is an event{published}; the first, {self._first_reason}{hint}")

    def _is_event(self, record: Outgoing) -> bool:
        reason = self._rejection(record.value)
        if reason is not None and not self._first_reason:
            self._first_reason = f"{record.origin}: {reason}"
        return reason is None


def _outgoing(submission: Submission, route: Route) -> Outgoing:
    return Outgoing(None if route.key is None else route.key.encode(), submission.value, submission.origin)
