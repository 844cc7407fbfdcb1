"""Publishes source records, processes the log and reads it, with progress bars."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping

from harness.support.console import progress
from harness.support.errors import HarnessError
from harness.support.source_record import SourceRecord
from realtime_pipeline import Pipeline
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.application.ports.event_log import EventLog, RebalanceListener
from realtime_pipeline.application.processing.process_events import Round
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record

LOG_WAIT_S = 0.2
LOG_SILENCE_S = 60.0


def publish(pipeline: Pipeline, records: Iterable[SourceRecord], expected: int | None) -> int:
    """Publish every record, also garbage; return how many were published.

    Args:
        pipeline: where to publish.
        records: what to publish.
        expected: how many records there are, for the progress bar.
    """
    published = 0
    with progress() as bars:
        bar = bars.add_task("publishing", total=expected)
        submissions = (Submission(record.value, record.origin) for record in records)
        for count in pipeline.container.publish_events().stream(submissions):
            published += count
            bars.update(bar, completed=published)
        bars.update(bar, total=published, completed=published)
    return published


def process_all(pipeline: Pipeline, expected: int) -> tuple[float, Mapping[RecordClass, int]]:
    """Process the whole log; return the seconds it took, and how many records of each class this run has processed."""
    counts = dict.fromkeys(RecordClass, 0)
    with progress() as bars:
        bar = bars.add_task("processing", total=expected)

        def add_round(done: Round) -> None:
            for class_, count in done.counts.items():
                counts[class_] += count
            bars.update(bar, advance=done.records - done.counts.get(RecordClass.CONTROL, 0))

        began_s = time.perf_counter()
        pipeline.container.worker().catch_up(add_round)
        return time.perf_counter() - began_s, counts


class _ReadFromStart(RebalanceListener):
    """Reads partitions from their first position to their end, and commits nothing."""

    def __init__(self, log: EventLog) -> None:
        self.ends: dict[int, int] = {}
        self.unread: dict[int, bool] = {}
        self._log = log

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        bounds = self._log.bounds(partitions)
        self.ends.update((partition, end) for partition, (_, end) in bounds.items())
        self.unread.update((partition, first < end) for partition, (first, end) in bounds.items())
        return {partition: first for partition, (first, _) in bounds.items()}

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Do nothing: nothing is held for a partition."""


def read_log(log: EventLog) -> Iterator[Record]:
    """Read a whole log from its first record to its current end. No worker may read it meanwhile.

    Raises:
        HarnessError: the log returns no record for a minute.
    """
    reader = _ReadFromStart(log)
    log.subscribe(reader)
    last_record_s = time.monotonic()
    while len(reader.unread) < log.identity.partitions or any(reader.unread.values()):
        records = log.poll(5_000, LOG_WAIT_S)
        for record in records:
            if record.position + 1 >= reader.ends[record.partition]:
                reader.unread[record.partition] = False
        yield from records
        for partition, end in reader.ends.items():  # behind the last record there may be markers of transactions
            if log.consumed_position(partition) >= end:
                reader.unread[partition] = False
        if records:
            last_record_s = time.monotonic()
        elif time.monotonic() - last_record_s > LOG_SILENCE_S:
            raise HarnessError(f"the log returned nothing for {LOG_SILENCE_S:.0f} s")
