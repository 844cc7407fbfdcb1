"""ProcessEvents: read the log, fold it per customer, commit each cell, and bring the readers along."""

import gc
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

import attrs

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import Commit, OutboxEntry
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.decoding import Decode, EncodeMessage
from realtime_pipeline.application.ports.event_log import EventLog, RebalanceListener
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.processing.claim_cells import ClaimCells
from realtime_pipeline.application.processing.fold_records import FoldRecords, Pairs
from realtime_pipeline.application.processing.ignored_types import add_types
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay, records_in
from realtime_pipeline.application.processing.owned_cell import OutboxEntryRef, OwnedCell
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.settings import FoldSettings

CONFLICTS_MAX = 10
CONFLICT_WAIT_S = 0.1
RETRY_WAIT_S = 0.2
VERIFY_EVERY_MS = 1_000
BUFFERED_MAX = 5_000
ASSIGNMENT_WAIT_MS = 60_000


@attrs.frozen
class Round:
    """What one round came to: how many records it read, how many fell in each class, and what it met with.

    `ignored_types` are the types of the ignored events, with how many there were of each.
    """

    records: int = 0
    counts: Mapping[RecordClass, int] = attrs.Factory(dict)
    problem: str = ""
    ignored_types: Mapping[str, int] = attrs.Factory(dict)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Hold the garbage collector off for the length of a round.

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


class ProcessEvents(RebalanceListener):
    """The worker. One call is one round: poll, decode, load, fold, commit each cell; merge and emit what is due.

    After a refusal (somebody else has claimed a cell, a reader stands elsewhere than believed, or an answer did not
    come) everything in memory is dropped, all cells are claimed again, and reading goes on from where they stand.
    """

    def __init__(
        self,
        log: EventLog,
        relay: OutboxRelay,
        snapshots: Snapshots,
        decode: Decode,
        encode_message: EncodeMessage,
        fold_settings: FoldSettings,
        settings: WorkerSettings,
        observer: StageObserver,
        clock: Clock,
        upkeep: Upkeep,
    ) -> None:
        self._log = log
        self._relay = relay
        self._claim_cells = ClaimCells(log, relay, snapshots, clock, settings.outbox_retention_ms)
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._upkeep = upkeep
        self._assigned: set[int] = set()
        self._cells: dict[int, OwnedCell] = {}
        self._outboxes: dict[int, deque[OutboxEntryRef]] = {}
        self._conflicts = 0
        self._unreachable_since_ms: int | None = None
        self._merged_at_ms = self._emitted_at_ms = self._verified_at_ms = 0
        self._backpressure = self._appended_to_log = False
        self._lingering = True
        self._memory_is_valid = True
        relay.cells.bind(log.identity)
        self._fold_records = FoldRecords(relay.cells, decode, encode_message, log.identity, fold_settings, observer)
        log.subscribe(self)

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Claim the cells of partitions, and say where to read from; none, where that cannot be done now."""
        self._assigned |= set(partitions)
        for partition in partitions:
            self._cells.pop(partition, None)
        try:
            return self._claim(partitions)
        except RecoverableError:
            return {}  # what is assigned and not held is claimed in the next round

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Drop all memory of partitions."""
        self._assigned -= set(partitions)
        for partition in partitions:
            self._cells.pop(partition, None)
            self._outboxes.pop(partition, None)

    def __call__(self, timeout_s: float) -> Round:
        """Work off one batch of records, waiting at most `timeout_s` for the first.

        Raises:
            UnrecoverableState: only a person can decide how to go on; the message says what and how.
            Unavailable: log or store have not answered for too long.
        """
        counts: dict[RecordClass, int] = {}
        types: dict[str, int] = {}
        trouble = ""
        try:
            if not self._memory_is_valid or self._assigned != self._cells.keys():
                self._claim_again()
            self._memory_is_valid = False  # until the round has ended well, the log or memory may be ahead of the store
            read = self._round(timeout_s, counts, types)
            self._do_periodic_work()
            with gc_paused():
                self._upkeep.step()
        except Unreachable as silence:
            trouble = str(silence)
            self._wait_out(silence)
        except RecoverableError as refusal:
            trouble = str(refusal)
            self._back_off(refusal)
        except BaseException:
            self._upkeep.end()  # whoever catches this may never call again
            raise
        else:
            self._memory_is_valid = True
            self._conflicts = 0
            if read:
                self._observer.reached(Stage.ROUND_DONE, read)
            self._unreachable_since_ms = None
        return Round(sum(counts.values()), {name: count for name, count in counts.items() if count}, trouble, types)

    def run(self, stop: Callable[[], bool], on_round: Callable[[Round], None]) -> None:
        """Work until told to stop; `stop` is asked between rounds."""
        while not stop():
            on_round(self(self._settings.idle_wait_ms / 1000))
        self.drain()

    def catch_up(
        self, on_round: Callable[[Round], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Work until the end that the log had when the call began is reached, and nothing is owed to readers, or until
        told to stop. What this worker has put into the log meanwhile is a part of it."""
        on_round(self(0))
        began_ms = self._clock.now_ms()
        self._verified_at_ms = 0  # somebody may have emptied the store since
        on_round(self(0))
        ends: dict[int, int] = {}
        while not stop():
            newcomers = self._cells.keys() - ends.keys()
            if newcomers:
                with suppress(Unreachable):
                    ends.update((number, end) for number, (_, end) in self._log.bounds(list(newcomers)).items())
            elif self._cells and all(
                self._consumed_position(cell) >= ends[number] for number, cell in self._cells.items()
            ):
                if any(cell.unmerged or cell.pending_emission for cell in self._cells.values()):
                    self._lingering = False  # until all is merged and emitted
                elif not self._appended_to_log:
                    break
                else:
                    self._appended_to_log = False
                    ends.clear()
            if not self._assigned and self._clock.now_ms() - began_ms > ASSIGNMENT_WAIT_MS:
                raise UnrecoverableState(
                    f"no partition came in {ASSIGNMENT_WAIT_MS // 1000} s: other workers have them all, and catch up"
                )
            on_round(self(self._settings.idle_wait_ms / 1000 if self._lingering else 0))
        with suppress(Unreachable):  # then it is done another time
            while not stop() and self._upkeep.step(is_paced=False):
                pass
        self.drain()

    def _consumed_position(self, cell: OwnedCell) -> int:
        """Up to where a partition was worked off; behind its last record there may be what is none."""
        return max(cell.read_position, self._log.consumed_position(cell.partition))

    def drain(self) -> None:
        """Merge and emit what is gathered, so that whoever takes over has less to do; what fails is left to them."""
        with suppress(RecoverableError):
            self._relay.merge(self._cells, self._clock.now_ms())
        with suppress(RecoverableError):
            self._relay.emit(self._cells.values())
        self._relay.note_progress(list(self._cells.values()), self._log.consumed_position)
        self._upkeep.end()

    def _round(self, timeout_s: float, counts: dict[RecordClass, int], types: dict[str, int]) -> int:
        with gc_paused():
            records = self._log.poll(self._settings.round_records_max, timeout_s)
            self._observer.reached(Stage.FETCHED, len(records))
            if records:
                decoded = self._fold_records.decoded(self._cells, records)
                with self._relay.cells.transaction():
                    self._commit_batch(decoded, counts, types)
                for cell in self._cells.values():
                    cell.evict_over(self._settings.cached_customers_max // len(self._cells))
        return len(records)

    def _commit_batch(self, decoded: dict[int, Pairs], counts: dict[RecordClass, int], types: dict[str, int]) -> None:
        """Fold records and commit each cell, then bring views and outputs along."""
        entries: list[OutboxEntry] = []
        folded: Counter[RecordClass] = Counter()

        def commits() -> Iterator[Commit]:
            for commit in self._fold_records(self._cells, decoded, self._clock.now_ms()):
                if not entries:
                    self._log.verify_identity()
                entries.append(commit.entry)
                self._appended_to_log = self._appended_to_log or bool(commit.outgoing)
                folded.update(commit.effects.counts)
                add_types(types, commit.effects.ignored_types)
                yield commit

        sizes = self._relay.cells.commit(commits())
        now_ms = self._clock.now_ms()
        for entry, size in zip(entries, sizes, strict=True):
            if size:
                self._cells[entry.partition].track(OutboxEntryRef(entry.to_position, now_ms, size))
        counts.update(folded)
        self._observer.reached(Stage.COMMITTED, sum(folded.values()))
        for entry in entries:
            self._cells[entry.partition].unmerged.append(entry)
            self._relay.buffer(self._cells[entry.partition], entry)
        self._merge_when_due(now_ms)
        if self._relay.outputs.linger_ms == 0:
            self._relay.emit(list(self._cells.values()))

    def _claim(self, partitions: Collection[int]) -> dict[int, int]:
        claimed = self._claim_cells(partitions)
        for partition, cell in claimed.items():  # what was kept before lies there still, as old and as large as it was
            cell.restore([one for one in self._outboxes.get(partition, ()) if one.to_position <= cell.position])
        self._verify_and_trim(claimed)  # a store that is full may take nothing more before it has let go of something
        self._claim_cells.catch_up(claimed)
        for partition in claimed:
            self._outboxes.pop(partition, None)
        self._cells.update(claimed)
        return {partition: cell.start_position for partition, cell in claimed.items()}

    def _drop_memory(self) -> None:
        self._outboxes.update((partition, cell.outbox) for partition, cell in self._cells.items())
        self._upkeep.end()
        self._cells.clear()
        self._memory_is_valid = False

    def _claim_again(self) -> None:
        self._drop_memory()
        self._log.seek(self._claim(sorted(self._assigned)))
        self._log.resume(self._assigned)
        self._backpressure = False

    def _back_off(self, conflict: RecoverableError) -> None:
        """Drop everything, to claim again; from the second time on after a while.

        Meanwhile the log may tell that somebody else has the partitions.
        """
        self._drop_memory()
        self._conflicts += 1
        if self._conflicts > CONFLICTS_MAX:
            raise UnrecoverableState(
                f"the store refused {self._conflicts} rounds in a row ({conflict}); "
                "see that only one worker has the partitions, then start it again"
            )
        if self._conflicts > 1:
            self._pass_time(CONFLICT_WAIT_S * self._conflicts)

    def _pass_time(self, seconds: float) -> None:
        """Poll on without reading, so that the group keeps this worker, and tells it what it has lost."""
        with suppress(Unreachable):
            self._log.pause(self._assigned)
            self._log.poll(1, seconds)

    def _wait_out(self, silence: Unreachable) -> None:
        """Let some time pass, up to a bound."""
        self._drop_memory()
        now_ms = self._clock.now_ms()
        if self._unreachable_since_ms is None:
            self._unreachable_since_ms = now_ms
        if now_ms - self._unreachable_since_ms > self._settings.give_up_after_ms:
            raise Unavailable(
                f"{silence}: no answer for {self._settings.give_up_after_ms // 1000} s; see to it, then start"
            )
        self._pass_time(RETRY_WAIT_S)

    def _verify_and_trim(self, cells: Mapping[int, OwnedCell]) -> bool:
        """See once a second that all stands where it should, and trim what has been kept for long enough; say
        whether a second was over."""
        now_ms = self._clock.now_ms()
        is_due = not 0 <= now_ms - self._verified_at_ms < VERIFY_EVERY_MS
        if is_due:
            self._relay.verify_and_trim(list(cells.values()), now_ms, self._settings.outbox_retention_ms)
            self._verified_at_ms = now_ms
        return is_due

    def _merge_when_due(self, now_ms: int) -> None:
        """Bring the views along: a merge goes to each of them, so that many small ones cost more than a large one."""
        views = self._relay.views
        buffered = records_in(entry for cell in self._cells.values() for entry in cell.unmerged)
        is_due = not self._lingering or not 0 <= now_ms - self._merged_at_ms < views.linger_ms
        if buffered and (is_due or buffered >= views.merge_records_max):
            self._relay.merge(self._cells, now_ms)
            self._merged_at_ms = now_ms

    def _do_periodic_work(self) -> None:
        """Do what is due between rounds: merge and emit what was gathered, look back, wait when too much is kept."""
        now_ms, cells = self._clock.now_ms(), list(self._cells.values())
        self._merge_when_due(now_ms)
        pending = sum(
            len(cell.pending_emission.dead_letters) + len(cell.pending_emission.outgoing)
            for cell in cells
            if cell.pending_emission is not None
        )
        waited_ms = now_ms - self._emitted_at_ms
        if not self._lingering or pending >= BUFFERED_MAX or not 0 <= waited_ms < self._relay.outputs.linger_ms:
            self._relay.emit(cells)
            self._emitted_at_ms = now_ms
        self._lingering = True
        if self._verify_and_trim(self._cells):
            self._relay.note_progress(cells, self._log.consumed_position)
        is_full = sum(cell.outbox_bytes for cell in cells) > self._settings.outbox_bytes_max
        if is_full or self._backpressure:  # each time: partitions may have come meanwhile
            (self._log.pause if is_full else self._log.resume)(self._assigned)
            self._backpressure = is_full
