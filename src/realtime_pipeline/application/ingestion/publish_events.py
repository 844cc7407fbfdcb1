"""PublishEvents: put events into the log, each under its customer's key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ports.decoding import Decode, EncodeEvent, EncodeTick, FindRoute, Route
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.records import Record, Rejected

BATCH_RECORDS: Final = 2_000
HELD_RECORDS_MAX: Final = 10_000
HELD_BYTES_MAX: Final = 8 << 20


@attrs.frozen
class Submission:
    """An event as it was handed in: its bytes, in any accepted schema, and where they came from."""

    value: bytes
    origin: str | None = None


class PublishEvents:
    """Publishes events, in order and in batches; each batch is durable when its count is reported.

    The log is opened, and made where there is none, when the first event is appended: what is refused leaves no trace.
    """

    def __init__(
        self,
        publisher: Callable[[], EventPublisher],
        decode: Decode,
        find_route: FindRoute,
        encode_event: EncodeEvent,
        encode_tick: EncodeTick,
        tick_key: bytes,
    ) -> None:
        self._publisher = publisher
        self._decode = decode
        self._find_route = find_route
        self._encode_event = encode_event
        self._encode_tick = encode_tick
        self._tick_key = tick_key

    def __call__(self, values: Sequence[bytes]) -> int:
        """Publish events that must be good, all or none; return how many.

        Raises:
            InvalidEvents: some event cannot be understood, or is a copy that a worker made; the message says which,
                and why.
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
            InvalidEvents: `events` is no list, JSON cannot hold an event, or as `__call__`.
        """
        if isinstance(events, Mapping):
            raise InvalidEvents("publish takes a list of events; put the one event into a list")
        return self([self._encoded(f"event {number}", event) for number, event in enumerate(events, 1)])

    def publish_one(self, event: Mapping[str, object]) -> tuple[int, int]:
        """Publish one event that must be good; return its partition and position, -1 where the log does not say.

        Raises:
            InvalidEvents: it cannot be understood.
        """
        value = self._encoded("event", event)
        reason = self._rejection(value)
        if reason is not None:
            raise InvalidEvents(reason)
        record = _outgoing(Submission(value), self._find_route(value))
        ((partition, end),) = self._publisher().publish([record]).items()
        return partition, end - 1

    def stream(self, submissions: Iterable[Submission]) -> Iterator[int]:
        """Publish whatever comes, garbage too (the worker turns it into dead letters); yield each batch's size.

        Nothing is published but what is asked for: the iterator must be used up.
        """
        waiting = iter(submissions)
        while batch := list(islice(waiting, BATCH_RECORDS)):
            yield self.batch(batch)

    def batch(self, submissions: Sequence[Submission]) -> int:
        """Publish what has come, garbage too; all of it is durable on return."""
        self._append([_outgoing(submission, self._find_route(submission.value)) for submission in submissions])
        return len(submissions)

    def lines(self) -> "LinePublisher":
        """Begin to publish the lines of a file."""
        return LinePublisher(self._append, self._rejection, self._find_route)

    def tick(self, partition: int) -> None:
        """Let time pass on a quiet partition: by as much as its log's clock has, since the record before.

        To be called by whoever owns the partition, once something waits for its time: windows and timers.
        """
        self._publisher().publish([Outgoing(self._tick_key, self._encode_tick(None), partition=partition)])

    def end_of_time(self) -> None:
        """Lift every partition to the end of time: a finite replay is over, nothing is waited for any longer."""
        tick = self._encode_tick(END_OF_TIME)
        publisher = self._publisher()
        partitions = range(publisher.partitions)
        publisher.publish([Outgoing(self._tick_key, tick, partition=number) for number in partitions])

    def _encoded(self, name: str, event: Mapping[str, object]) -> bytes:
        try:
            return self._encode_event(event)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidEvents(f"{name} cannot be written as JSON: {error}") from None

    def _append(self, records: Sequence[Outgoing]) -> None:
        if records:
            self._publisher().publish(records)

    def _rejection(self, value: bytes) -> str | None:
        """Why an event cannot be understood; None where it can."""
        decoded = self._decode(Record(0, 0, None, value, END_OF_TIME))
        return decoded.reason if isinstance(decoded, Rejected) else None


class LinePublisher:
    """Publishes the lines of a file, but holds back those that are no events until the first that is one.

    So a file of something else is refused whole, while single lines that are no events become dead letters.
    Not more is held back than `HELD_RECORDS_MAX` lines or `HELD_BYTES_MAX`: what is more is published as it is.
    Copies that a worker made are skipped, and counted in `copies`.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Outgoing]], None],
        reason: Callable[[bytes], str | None],
        find_route: FindRoute,
    ) -> None:
        self.copies = 0
        self._append = append
        self._reason = reason
        self._find_route = find_route
        self._held: list[Outgoing] = []
        self._held_bytes = 0
        self._holds_back, self._has_event = True, False
        self._first_reason = ""

    def publish(self, submissions: Sequence[Submission]) -> int:
        """Publish lines, or hold them back; return how many were published, which are durable then."""
        records = []
        for submission in submissions:
            route = self._find_route(submission.value)
            if route.is_workers:
                self.copies += 1
            else:
                records.append(_outgoing(submission, route))
                self._has_event = self._has_event or self._is_event(submission)
        self._held += records
        self._held_bytes += sum(len(record.value) for record in records)
        self._holds_back = (
            self._holds_back
            and not self._has_event
            and len(self._held) < HELD_RECORDS_MAX
            and self._held_bytes < HELD_BYTES_MAX
        )
        if self._holds_back:
            return 0
        published, self._held = self._held, []
        self._append(published)
        return len(published)

    def end(self) -> None:
        """See that the file had an event, if it had any lines. What is held back is not published.

        Raises:
            InvalidEvents: no line was an event; the message says why the first was none.
        """
        if self._first_reason and not self._has_event:
            published = "" if self._holds_back else "; its lines are published, and will be dead letters"
            raise InvalidEvents(f"not one line is an event{published}; the first, {self._first_reason}")

    def _is_event(self, submission: Submission) -> bool:
        reason = self._reason(submission.value)
        if reason is not None and not self._first_reason:
            self._first_reason = f"{submission.origin}: {reason}"
        return reason is None


def _outgoing(submission: Submission, route: Route) -> Outgoing:
    return Outgoing(None if route.key is None else route.key.encode(), submission.value, submission.origin)
