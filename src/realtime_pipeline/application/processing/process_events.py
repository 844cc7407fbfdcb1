"""ProcessEvents: one round of the worker."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import attrs

from realtime_pipeline.application.errors import RecoverableError, Unreachable
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.processing.backoff import Backoff
from realtime_pipeline.application.processing.ignored_types import add_types
from realtime_pipeline.application.processing.keep_windows import KeepWindows
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.application.processing.ownership import Ownership
from realtime_pipeline.application.processing.process_records import Committed, ProcessRecords
from realtime_pipeline.application.processing.relay_schedule import RelaySchedule
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.streams.effects import RecordClass


@attrs.frozen
class Round:
    """What one round has processed: how many records, how many of each class, and the failure it recovered from.

    `ignored_types` are the types of the ignored events, with how many there were of each.
    """

    records: int = 0
    counts: Mapping[RecordClass, int] = attrs.Factory(dict)
    problem: str = ""
    ignored_types: Mapping[str, int] = attrs.Factory(dict)


@attrs.define
class _Progress:
    """What the commits of a round have counted so far, also where a later step of the round fails."""

    counts: dict[RecordClass, int] = attrs.Factory(dict)
    types: dict[str, int] = attrs.Factory(dict)

    def add(self, committed: Committed) -> None:
        self.counts.update(committed.counts)
        add_types(self.types, committed.ignored_types)

    def as_round(self, problem: str) -> Round:
        counts = {name: count for name, count in self.counts.items() if count}
        return Round(sum(counts.values()), counts, problem, self.types)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector for the length of a round.

    A round makes some hundred thousand objects and no cycles; looking through them while they are made doubles its
    cost. The collector runs between rounds.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class ProcessEvents:
    """One call is one round of the worker:

    1. Claim cells that are assigned and not claimed, or all after a failure (`Ownership`).
    2. Poll the log for a batch of records.
    3. Decode, load, fold and commit them, cell by cell (`ProcessRecords`).
    4. Relay the outboxes: merge into views, emit outputs, verify and trim, each when it is due (`RelaySchedule`).
    5. Apply back-pressure: pause the partitions while the outboxes take too many bytes of the store.
    6. Do a piece of upkeep of log and store, and once a second what windows need (`KeepWindows`).

    After a conflict (another owner has claimed a cell, a position is not the one expected) or silence, everything in
    memory is dropped, and the next round claims all cells again and reads from their positions (`Backoff`).
    """

    def __init__(
        self,
        log: EventLog,
        relay: OutboxRelay,
        ownership: Ownership,
        process_records: ProcessRecords,
        schedule: RelaySchedule,
        settings: WorkerSettings,
        observer: StageObserver,
        clock: Clock,
        upkeep: Upkeep,
        windows: KeepWindows | None,
    ) -> None:
        self.ownership = ownership
        self.schedule = schedule
        self._log = log
        self._cells = relay.cells
        self._process_records = process_records
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._upkeep = upkeep
        self._windows = windows
        self._backoff = Backoff(settings.give_up_after_ms)
        self._backpressure = self._has_appended = False
        relay.cells.bind(log.identity)
        log.subscribe(ownership)

    def __call__(self, timeout_s: float) -> Round:
        """Process one batch of records, waiting at most `timeout_s` for the first record.

        Raises:
            UnrecoverableState: only a person can decide how to go on; the message says what and how.
            Unavailable: log or store have not answered for too long.
        """
        progress, problem = _Progress(), ""
        try:
            if self.ownership.must_claim:
                self._claim_again()
            self.ownership.begin_round()
            with gc_paused():  # until the records of the round are freed
                read = self._poll_and_process(timeout_s, progress)
            self.schedule.run(self.ownership.cells, self._log.consumed_position)
            self._apply_backpressure()
            with gc_paused():
                self._upkeep.step()
                if self._windows is not None:
                    self._windows.step(self.ownership.cells)
        except Unreachable as silence:
            problem = str(silence)
            self._drop_memory()
            self._wait(self._backoff.after_silence(silence, self._clock.now_ms()))
        except RecoverableError as conflict:
            problem = str(conflict)
            self._drop_memory()
            self._wait(self._backoff.after_conflict(conflict))
        except BaseException:
            self._upkeep.end()  # whoever catches this may never call again
            raise
        else:
            self.ownership.end_round()
            self._backoff.reset()
            if read:
                self._observer.reached(Stage.ROUND_DONE, read)
        return progress.as_round(problem)

    def drain(self) -> None:
        """Merge and emit what is buffered, so that the next owner has less to do, and end upkeep."""
        self.schedule.drain(self.ownership.cells, self._log.consumed_position)
        self._upkeep.end()

    def keep_windows(self) -> None:
        """Write the results of all windows that are final, and delete their panes.

        Raises:
            Fenced: another worker has claimed a cell.
            Unreachable: the store does not respond.
        """
        while self._windows is not None and self._windows.step(self.ownership.cells, is_paced=False):
            pass

    def consumed_position(self, cell: OwnedCell) -> int:
        """Up to which position a partition is processed; behind its last record may be marks of transactions."""
        return max(cell.read_position, self._log.consumed_position(cell.partition))

    def has_appended(self) -> bool:
        """Whether commits have appended records to the log, or ticks were, since this was asked last."""
        ticks = self._windows is not None and self._windows.has_appended()
        appended, self._has_appended = ticks or self._has_appended, False
        return appended

    def _poll_and_process(self, timeout_s: float, progress: _Progress) -> int:
        owned = self.ownership.cells
        records = self._log.poll(self._settings.round_records_max, timeout_s)
        self._observer.reached(Stage.FETCHED, len(records))
        if records:
            decoded = self._process_records.decode(owned, records)
            with self._cells.transaction():
                committed = self._process_records(owned, decoded)
                self._has_appended = self._has_appended or committed.appends
                progress.add(committed)
                self.schedule.buffer(owned, committed.entries)
            self.ownership.evict_customers_over(self._settings.cached_customers_max)
        return len(records)

    def _apply_backpressure(self) -> None:
        is_over = self.ownership.outbox_bytes > self._settings.outbox_bytes_max
        if is_over or self._backpressure:  # each time: partitions may have been assigned meanwhile
            (self._log.pause if is_over else self._log.resume)(self.ownership.assigned)
            self._backpressure = is_over

    def _claim_again(self) -> None:
        self._drop_memory()
        self.ownership.claim_again()
        self._backpressure = False

    def _drop_memory(self) -> None:
        self.ownership.drop_memory()
        self._upkeep.end()
        self._has_appended = True  # commits before a failure may have appended records

    def _wait(self, seconds: float) -> None:
        """Poll without reading, so that the group keeps this worker, and tells it which partitions are revoked."""
        if seconds:
            with suppress(Unreachable):
                self._log.pause(self.ownership.assigned)
                self._log.poll(1, seconds)
