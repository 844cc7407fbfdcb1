"""An engine that calls the use cases of processing itself, as a Spark job would: it has no worker and no rounds."""

from collections.abc import Sequence

from realtime_pipeline import Pipeline
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.application.processing.fold_records import FoldRecords
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.application.processing.process_records import Committed, ProcessRecords
from realtime_pipeline.application.processing.relay_schedule import RelaySchedule
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.messages import encode_message


class Engine:
    """Claims cells, and processes records that it reads itself: it never subscribes to the log and never polls it."""

    def __init__(self, pipeline: Pipeline) -> None:
        container, settings = pipeline.container, pipeline.container.settings()
        clock, observer, log, relay = container.clock(), container.observer(), container.log(), container.relay()
        self.owned: dict[int, OwnedCell] = {}
        self.schedule = RelaySchedule(relay, clock, settings.worker.outbox_retention_ms)
        self._log, self._log_reader, self._cells = log, container.log_reader(), relay.cells
        self._claim_cells = ClaimCells(log, relay, container.snapshots(), clock, settings.worker.outbox_retention_ms)
        fold_records = FoldRecords(
            relay.cells, container.decoder(), encode_message, log.identity, settings.folding, observer
        )
        self._process_records = ProcessRecords(relay.cells, fold_records, observer, clock, log)
        relay.cells.bind(log.identity)

    def claim(self, *partitions: int) -> None:
        """Claim the cells of partitions, and relay what their outboxes still contain."""
        claimed = self._claim_cells(partitions)
        self._claim_cells.catch_up(claimed)
        self.owned.update(claimed)

    def unprocessed(self, partition: int) -> list[Record]:
        """The records of a partition from the position of its cell to the end of the log."""
        end = self._log.bounds([partition])[partition][1]
        return list(self._log_reader.read(partition, self.owned[partition].read_position, end))

    def commit(self, records: Sequence[Record]) -> Committed:
        """Decode, fold and commit records; relay nothing."""
        return self._process_records(self.owned, self._process_records.decode(self.owned, records))

    def process(self, records: Sequence[Record]) -> None:
        """Commit records, and hand their outbox entries to the relay schedule: in one transaction where both are in
        one database, which stores no outbox."""
        with self._cells.transaction():
            self.schedule.buffer(self.owned, self.commit(records).entries)

    def run_schedule(self) -> None:
        """Do what the relay schedule has due."""
        self.schedule.run(self.owned, self._log.consumed_position)

    def drain(self) -> None:
        """Merge and emit what is buffered."""
        self.schedule.drain(self.owned, self._log.consumed_position)

    def process_all(self, batch_size: int) -> None:
        """Process the owned partitions to the end of the log, which emissions may move, a batch at a time."""
        while batches := [batch for partition in self.owned if (batch := self.unprocessed(partition)[:batch_size])]:
            for batch in batches:
                self.process(batch)
            self.drain()
