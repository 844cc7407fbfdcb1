"""PublishEvents: put events into the log, each under its customer's key."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import attrs

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.application.ports.decoding import Decode, EncodeTick, RoutingKey
from realtime_pipeline.application.ports.event_publisher import EventPublisher, Outgoing
from realtime_pipeline.domain.shop.sign_in import HistoryMerged
from realtime_pipeline.domain.streams.records import Record, Rejected
from realtime_pipeline.domain.streams.watermark import END_OF_TIME

BATCH_RECORDS = 2_000


@attrs.frozen
class Submission:
    """An event as it was handed in: its bytes, in any accepted schema, and where they came from."""

    value: bytes
    origin: str | None = None


class PublishEvents:
    """Publishes events, in order and in batches; each batch is durable when its count is reported."""

    def __init__(
        self,
        publisher: EventPublisher,
        decode: Decode,
        routing_key: RoutingKey,
        encode_tick: EncodeTick,
        tick_key: bytes,
    ) -> None:
        self._publisher = publisher
        self._decode = decode
        self._routing_key = routing_key
        self._encode_tick = encode_tick
        self._tick_key = tick_key

    def __call__(self, values: Sequence[bytes]) -> int:
        """Publish events that must be good, all or none; return how many.

        Raises:
            InvalidEvents: some event cannot be understood; the message says which, and why.
        """
        for number, value in enumerate(values, start=1):
            decoded = self._decode(Record(0, 0, None, value, END_OF_TIME))
            if isinstance(decoded, Rejected):
                raise InvalidEvents(f"event {number} of {len(values)}: {decoded.reason}")
            if isinstance(decoded, HistoryMerged):
                raise InvalidEvents(f"event {number} of {len(values)}: what visitors had done is for workers to say")
        return self.batch([Submission(value) for value in values])

    def place(self, value: bytes) -> tuple[int, int]:
        """Publish one event that must be good; return its partition and position, -1 where the log does not say.

        Raises:
            InvalidEvents: it cannot be understood.
        """
        decoded = self._decode(Record(0, 0, None, value, END_OF_TIME))
        if isinstance(decoded, Rejected):
            raise InvalidEvents(decoded.reason)
        ((partition, end),) = self._publisher.publish([self._outgoing(Submission(value))]).items()
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
        if submissions:
            self._publisher.publish([self._outgoing(submission) for submission in submissions])
        return len(submissions)

    def tick(self, partition: int) -> None:
        """Let time pass on a quiet partition: by as much as its log's clock has, since the record before.

        To be called by whoever owns the partition, once something waits for its time: windows and timers.
        """
        self._publisher.publish([Outgoing(self._tick_key, self._encode_tick(None), partition=partition)])

    def end_of_time(self) -> None:
        """Lift every partition to the end of time: a finite replay is over, nothing is waited for any longer."""
        tick = self._encode_tick(END_OF_TIME)
        partitions = range(self._publisher.partitions)
        self._publisher.publish([Outgoing(self._tick_key, tick, partition=number) for number in partitions])

    def _outgoing(self, submission: Submission) -> Outgoing:
        key = self._routing_key(submission.value)
        return Outgoing(None if key is None else key.encode(), submission.value, submission.origin)
