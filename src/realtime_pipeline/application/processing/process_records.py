"""ProcessRecords: fold records of owned cells, and commit their effects. It does not know who polled them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from realtime_pipeline.application.ports.cell_store import CellStore, Commit, OutboxEntry
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.processing.fold_records import FoldRecords, Pairs
from realtime_pipeline.application.processing.ignored_types import add_types
from realtime_pipeline.application.processing.owned_cell import OutboxEntryRef, OwnedCell
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.records import Record


class Log(Protocol):
    """The part of `EventLog` that processing needs: the identity of the log that the records come from."""

    def verify_identity(self) -> None:
        """Check that the records come from the log that the store was built from.

        Raises:
            WrongLog: they come from another log.
        """


@attrs.frozen
class Committed:
    """The result of committing some records: the outbox entries, and the number of records of each class.

    `ignored_types` are the types of ignored events with their counts. `appends` is True where the outbox contains
    records for the log itself.
    """

    entries: Sequence[OutboxEntry]
    counts: Mapping[RecordClass, int]
    ignored_types: Mapping[str, int]
    appends: bool


class ProcessRecords:
    """Processes records of cells that the caller owns, wherever the records were polled from.

    1. `decode`: bytes to events; needs no store, so that it is done outside of any transaction.
    2. Load the customers whom the events name, of all cells by one request.
    3. Fold the records of each cell in order.
    4. Commit each cell: effects, position, watermark, counts and outbox entry, all or nothing.

    After the commit the caller hands the outbox entries to `RelaySchedule.buffer`, which brings them to views and
    outputs. Where the store commits and merges in one transaction (SQLite), both calls belong into one
    `CellStore.transaction()`, as `ProcessEvents` makes it. `log` is where the records come from; its identity is
    verified before the first commit.
    """

    def __init__(
        self,
        cells: CellStore,
        fold_records: FoldRecords,
        observer: StageObserver,
        clock: Clock,
        log: Log,
    ) -> None:
        self._cells = cells
        self._fold_records = fold_records
        self._observer = observer
        self._clock = clock
        self._log = log

    def decode(self, owned: Mapping[int, OwnedCell], records: Sequence[Record]) -> dict[int, Pairs]:
        """Decode records, by partition. Records that a cell has already folded, or that no cell owns, are dropped.

        Raises:
            NewerRelease: a newer release wrote a record that this one cannot read.
        """
        return self._fold_records.decoded(owned, records)

    def __call__(self, owned: Mapping[int, OwnedCell], decoded: dict[int, Pairs]) -> Committed:
        """Load, fold and commit decoded records; `decoded` is emptied on the way.

        Raises:
            Fenced: another owner has claimed a cell; commits before its first are done.
            NewerRelease, UnrecoverableState, WrongLog, Unreachable: as `FoldRecords`, `CellStore.commit` and
                `EventLog.verify_identity`.
        """
        entries: list[OutboxEntry] = []
        folded: Counter[RecordClass] = Counter()
        types: dict[str, int] = {}
        appends = False

        def commits() -> Iterator[Commit]:
            nonlocal appends
            for commit in self._fold_records(owned, decoded, self._clock.now_ms()):
                if not entries:
                    self._log.verify_identity()
                entries.append(commit.entry)
                appends = appends or bool(commit.outgoing)
                folded.update(commit.effects.counts)
                add_types(types, commit.effects.ignored_types)
                yield commit

        sizes = self._cells.commit(commits())
        now_ms = self._clock.now_ms()
        for entry, size in zip(entries, sizes, strict=True):
            if size:
                owned[entry.partition].track(OutboxEntryRef(entry.to_position, now_ms, size))
        self._observer.reached(Stage.COMMITTED, sum(folded.values()))
        return Committed(entries, folded, types, appends)
