"""RunSink: deliver the events of the log to a sink, each once."""

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from realtime_pipeline.application.errors import PositionMismatch, UnrecoverableState
from realtime_pipeline.application.ports.decoding import Decode, FindDocument
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.records import Record

BATCH_RECORDS_MAX: Final = 5_000
BATCH_BYTES_MAX: Final = 8 << 20

OnProgress = Callable[[int], object]
"""Is called after each batch with the number of events that this call has delivered."""
Stop = Callable[[], bool]
"""Is called between batches; says whether to end."""


class RunSink:
    """Reads the log beside its workers, whether any are running or not, and writes one batch after the other to a sink.

    A batch ends after `records_max` records, or with the record that brings it to `bytes_max` bytes. What is no event
    is left out, and the sink's position passes over it: ticks, messages of workers, copies that a worker forwarded,
    types without a meaning, invalid records.

    How far a sink is, the sink alone says. So a call that failed or was killed may be repeated, and of two calls at the
    same time each batch comes from one.
    """

    def __init__(
        self,
        log: EventLog,
        reader: LogReader,
        decode: Decode,
        find_document: FindDocument,
        records_max: int = BATCH_RECORDS_MAX,
        bytes_max: int = BATCH_BYTES_MAX,
    ) -> None:
        self._log = log
        self._batches = _Batches(reader, decode, find_document, records_max, bytes_max)

    def catch_up(
        self, sink: Sink, on_progress: OnProgress = lambda _: None, stop: Stop = lambda: False, skip_lost: bool = False
    ) -> int:
        """Deliver up to the ends that the log has when the call begins, or until `stop` returns True.

        With `skip_lost`, the sink's positions pass over records that the log deleted before they were delivered.

        Returns:
            How many events this call has delivered.

        Raises:
            UnrecoverableState: the log does not have the records to deliver next; or as `Sink`.
            WrongLog: the sink has the events of another log.
            Unavailable: the log or the sink does not answer; the call may be repeated.
        """
        call = _Call(self._log, self._batches, sink, on_progress, stop)
        call.deliver(skip_lost)
        call.write_positions()
        return call.delivered

    def run(
        self,
        sink: Sink,
        stop: Stop,
        wait: Callable[[], object],
        on_progress: OnProgress = lambda _: None,
        skip_lost: bool = False,
    ) -> int:
        """Deliver what the log has, again and again until `stop` returns True; `wait` is called in between.

        A position that passes over no event is written at the end, or when it passes over a whole batch: else a quiet
        partition's ticks would cost the sink a batch each. `skip_lost` is for what is lost when the call begins.

        Returns:
            How many events this call has delivered.

        Raises:
            UnrecoverableState, WrongLog, Unavailable: as `catch_up`.
        """
        call = _Call(self._log, self._batches, sink, on_progress, stop)
        call.deliver(skip_lost)
        while not stop():
            wait()
            call.deliver(skip_lost=False)
        call.write_positions()
        return call.delivered


@attrs.frozen
class _Batches:
    """Reads ranges of the log as deliveries of bounded size."""

    reader: LogReader
    decode: Decode
    find_document: FindDocument
    records_max: int
    bytes_max: int

    def read(self, partition: int, begin: int, end: int) -> Iterator[Delivery]:
        """Yield deliveries that follow each other and reach from `begin` to `end`; some may have no rows."""
        rows, records, size = list[Row](), 0, 0
        for record in self.reader.read(partition, begin, end):
            row = self._row(record)
            if row is not None:
                rows.append(row)
            records += 1
            size += len(record.value)
            if records >= self.records_max or size >= self.bytes_max:
                yield Delivery(partition, begin, record.position + 1, tuple(rows))
                rows, records, size, begin = [], 0, 0, record.position + 1
        if begin < end:
            yield Delivery(partition, begin, end, tuple(rows))

    def _row(self, record: Record) -> Row | None:
        event = self.decode(record)
        if not isinstance(event, Event) or event.forwarded is not None:
            return None
        document = self.find_document(record.value)
        return None if document is None else Row(record.position, record.appended_at_ms, event, document, record.origin)


class _Call:
    """One call of `RunSink`: the sink's positions, and up to where the log was read behind them without an event."""

    def __init__(self, log: EventLog, batches: _Batches, sink: Sink, on_progress: OnProgress, stop: Stop) -> None:
        self._log = log
        self._batches = batches
        self._sink = sink
        self._on_progress = on_progress
        self._stop = stop
        self.delivered = 0
        sink.bind(log.identity.log_id)
        self._positions = dict(sink.positions(range(log.identity.partitions)))
        self._read = dict(self._positions)

    def deliver(self, skip_lost: bool) -> None:
        """Deliver up to the ends that the log has now."""
        for partition, (first, end) in sorted(self._log.bounds(self._positions).items()):
            self._check(partition, first, end, skip_lost)
            while self._read[partition] < end and not self._stop():
                try:
                    self._deliver(partition, end)
                except PositionMismatch as mismatch:
                    self._go_on_from(partition, mismatch.positions[partition])

    def write_positions(self) -> None:
        """Have the sink's positions pass over what was read without finding an event."""
        for partition, read in self._read.items():
            try:
                if self._positions[partition] < read:
                    self._write(Delivery(partition, read, read, ()))
            except PositionMismatch as mismatch:
                self._go_on_from(partition, mismatch.positions[partition])

    def _check(self, partition: int, first: int, end: int, skip_lost: bool) -> None:
        """Check that the log has what is to be delivered next, or pass over it.

        Raises:
            UnrecoverableState: it does not.
        """
        read = self._read[partition]
        if read > end:
            raise UnrecoverableState(
                f"the sink has partition {partition} up to position {read}, and the log ends at {end}: the log has "
                "lost records, as after a restore of an older backup; deliver into a new sink"
            )
        if read < first and not skip_lost:
            raise UnrecoverableState(
                f"the log begins at position {first} of partition {partition}, and the sink has it up to {read}: the "
                "log has deleted what lies between; to deliver the rest without, use --skip-lost (skip_lost=True)"
            )
        self._read[partition] = max(read, first)

    def _deliver(self, partition: int, end: int) -> None:
        for delivery in self._batches.read(partition, self._read[partition], end):
            position = self._positions[partition]
            if delivery.rows or delivery.to_position - position >= self._batches.records_max:
                self._write(delivery)
            self._read[partition] = delivery.to_position
            if self._stop():
                return

    def _write(self, delivery: Delivery) -> None:
        """Write a delivery from the sink's position on: what was read between holds no event, or is lost."""
        partition = delivery.partition
        self._sink.write(attrs.evolve(delivery, from_position=self._positions[partition]))
        self._positions[partition] = delivery.to_position
        self.delivered += len(delivery.rows)
        self._on_progress(self.delivered)

    def _go_on_from(self, partition: int, position: int) -> None:
        """Go on from the position to which another process has delivered meanwhile.

        Raises:
            UnrecoverableState: the sink has gone back.
        """
        if position <= self._positions[partition]:
            raise UnrecoverableState(
                f"the sink had partition {partition} up to position {self._positions[partition]}, and has it up to "
                f"{position} now: somebody took away what was delivered; bring that back, then deliver again"
            )
        self._positions[partition] = self._read[partition] = position
