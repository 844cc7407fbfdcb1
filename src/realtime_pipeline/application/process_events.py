"""ProcessEvents: read the log, fold it per customer, commit each cell, and bring the readers along."""

import gc
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

import attrs

from realtime_pipeline.application.cells import HeldCell, Kept, Readers, records_of
from realtime_pipeline.application.claim_cells import ClaimCells
from realtime_pipeline.application.errors import Refusal, Stopped, Unavailable, Unreachable
from realtime_pipeline.application.fold_records import FoldRecords, Pairs
from realtime_pipeline.application.ignored_types import add_types
from realtime_pipeline.application.ports.cell_store import Commit, Entry
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.decoding import Decode, EncodeMessage
from realtime_pipeline.application.ports.event_log import EventLog, PartitionOwner
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.worker_rules import WorkerRules
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.rules import FoldRules

REFUSALS_MAX = 10
REFUSED_WAIT_S = 0.1
RETRY_WAIT_S = 0.2
LOOK_BACK_EVERY_MS = 1_000
GATHERED_MAX = 5_000
ASSIGNMENT_WAIT_MS = 60_000


@attrs.frozen
class Round:
    """What one round came to: how many records it read, how many fell in each class, and what it met with.

    `ignored_types` are the types of the ignored events, with how many there were of each.
    """

    records: int = 0
    counts: Mapping[RecordClass, int] = attrs.Factory(dict)
    trouble: str = ""
    ignored_types: Mapping[str, int] = attrs.Factory(dict)


@contextmanager
def collector_paused() -> Iterator[None]:
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


class ProcessEvents(PartitionOwner):
    """The worker. One call is one round: poll, decode, load, fold, commit each cell; merge and emit what is due.

    After a refusal (somebody else has claimed a cell, a reader stands elsewhere than believed, or an answer did not
    come) everything in memory is dropped, all cells are claimed again, and reading goes on from where they stand.
    """

    def __init__(
        self,
        log: EventLog,
        readers: Readers,
        snapshots: Snapshots,
        decode: Decode,
        encode_message: EncodeMessage,
        fold_rules: FoldRules,
        rules: WorkerRules,
        stages: Stages,
        clock: Clock,
        upkeep: Upkeep,
    ) -> None:
        self._log = log
        self._readers = readers
        self._claim_cells = ClaimCells(log, readers, snapshots, clock, rules.kept_ms)
        self._rules = rules
        self._stages = stages
        self._clock = clock
        self._upkeep = upkeep
        self._assigned: set[int] = set()
        self._held: dict[int, HeldCell] = {}
        self._kept: dict[int, deque[Kept]] = {}
        self._refusals = 0
        self._unreachable_since_ms: int | None = None
        self._merged_at_ms = self._emitted_at_ms = self._looked_back_ms = 0
        self._full = self._has_spoken = False
        self._gathers = True
        self._sound = True
        readers.cells.bind(log.identity)
        self._fold_records = FoldRecords(readers.cells, decode, encode_message, log.identity, fold_rules, stages)
        log.subscribe(self)

    def gained(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Claim the cells of partitions, and say where to read from; none, where that cannot be done now."""
        self._assigned |= set(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
        try:
            return self._claimed(partitions)
        except Refusal:
            return {}  # what is assigned and not held is claimed in the next round

    def lost(self, partitions: Collection[int]) -> None:
        """Drop all memory of partitions."""
        self._assigned -= set(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
            self._kept.pop(partition, None)

    def __call__(self, timeout_s: float) -> Round:
        """Work off one batch of records, waiting at most `timeout_s` for the first.

        Raises:
            Stopped: only a person can decide how to go on; the message says what and how.
            Unavailable: log or store have not answered for too long.
        """
        counts: dict[RecordClass, int] = {}
        types: dict[str, int] = {}
        trouble = ""
        try:
            if not self._sound or self._assigned != self._held.keys():
                self._claim_again()
            self._sound = False  # until the round has ended well, the log or memory may be ahead of the store
            read = self._round(timeout_s, counts, types)
            self._keep_up()
            with collector_paused():
                self._upkeep.step()
        except Unreachable as silence:
            trouble = str(silence)
            self._wait_out(silence)
        except Refusal as refusal:
            trouble = str(refusal)
            self._count_refusal(refusal)
        except BaseException:
            self._upkeep.end()  # whoever catches this may never call again
            raise
        else:
            self._sound = True
            self._refusals = 0
            if read:
                self._stages.reached(Stage.ROUND_DONE, read)
            self._unreachable_since_ms = None
        return Round(sum(counts.values()), {name: count for name, count in counts.items() if count}, trouble, types)

    def run(self, stop: Callable[[], bool], on_round: Callable[[Round], None]) -> None:
        """Work until told to stop; `stop` is asked between rounds."""
        while not stop():
            on_round(self(self._rules.idle_wait_ms / 1000))
        self.settle()

    def catch_up(
        self, on_round: Callable[[Round], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Work until the end that the log had when the call began is reached, and nothing is owed to readers, or until
        told to stop. What this worker has put into the log meanwhile is a part of it."""
        on_round(self(0))
        began_ms = self._clock.now_ms()
        self._looked_back_ms = 0  # somebody may have emptied the store since
        on_round(self(0))
        ends: dict[int, int] = {}
        while not stop():
            newcomers = self._held.keys() - ends.keys()
            if newcomers:
                with suppress(Unreachable):
                    ends.update((number, end) for number, (_, end) in self._log.bounds(list(newcomers)).items())
            elif self._held and all(self._stands_at(cell) >= ends[number] for number, cell in self._held.items()):
                if any(cell.unmerged or cell.owed for cell in self._held.values()):
                    self._gathers = False  # until all is merged and emitted
                elif not self._has_spoken:
                    break
                else:
                    self._has_spoken = False
                    ends.clear()
            if not self._assigned and self._clock.now_ms() - began_ms > ASSIGNMENT_WAIT_MS:
                raise Stopped(
                    f"no partition came in {ASSIGNMENT_WAIT_MS // 1000} s: other workers have them all, and catch up"
                )
            on_round(self(self._rules.idle_wait_ms / 1000 if self._gathers else 0))
        with suppress(Unreachable):  # then it is done another time
            while not stop() and self._upkeep.step(is_paced=False):
                pass
        self.settle()

    def _stands_at(self, cell: HeldCell) -> int:
        """Up to where a partition was worked off; behind its last record there may be what is none."""
        return max(cell.stands_at, self._log.read_to(cell.partition))

    def settle(self) -> None:
        """Merge and emit what is gathered, so that whoever takes over has less to do; what fails is left to them."""
        with suppress(Refusal):
            self._readers.merge(self._held, self._clock.now_ms())
        with suppress(Refusal):
            self._readers.emit(self._held.values())
        self._readers.note(list(self._held.values()), self._log.read_to)
        self._upkeep.end()

    def _round(self, timeout_s: float, counts: dict[RecordClass, int], types: dict[str, int]) -> int:
        with collector_paused():
            records = self._log.poll(self._rules.round_records_max, timeout_s)
            self._stages.reached(Stage.FETCHED, len(records))
            if records:
                decoded = self._fold_records.decoded(self._held, records)
                with self._readers.cells.together():
                    self._work_off(decoded, counts, types)
                for cell in self._held.values():
                    cell.bounded_to(self._rules.cached_customers_max // len(self._held))
        return len(records)

    def _work_off(self, decoded: dict[int, Pairs], counts: dict[RecordClass, int], types: dict[str, int]) -> None:
        """Fold records and commit each cell, then bring views and outputs along."""
        entries: list[Entry] = []
        folded: Counter[RecordClass] = Counter()

        def commits() -> Iterator[Commit]:
            for commit in self._fold_records(self._held, decoded, self._clock.now_ms()):
                if not entries:
                    self._log.vouch()
                entries.append(commit.entry)
                self._has_spoken = self._has_spoken or bool(commit.outgoing)
                folded.update(commit.effects.counts)
                add_types(types, commit.effects.ignored_types)
                yield commit

        sizes = self._readers.cells.commit(commits())
        now_ms = self._clock.now_ms()
        for entry, size in zip(entries, sizes, strict=True):
            if size:
                self._held[entry.partition].keep(Kept(entry.to_position, now_ms, size))
        counts.update(folded)
        self._stages.reached(Stage.COMMITTED, sum(folded.values()))
        for entry in entries:
            self._held[entry.partition].unmerged.append(entry)
            self._readers.gather(self._held[entry.partition], entry)
        self._merge_when_due(now_ms)
        if self._readers.outputs.gather_ms == 0:
            self._readers.emit(list(self._held.values()))

    def _claimed(self, partitions: Collection[int]) -> dict[int, int]:
        claimed = self._claim_cells(partitions)
        for partition, cell in claimed.items():  # what was kept before lies there still, as old and as large as it was
            cell.keep_older([one for one in self._kept.get(partition, ()) if one.to_position <= cell.position])
        self._look_back(claimed)  # a store that is full may take nothing more before it has let go of something
        self._claim_cells.serve(claimed)
        for partition in claimed:
            self._kept.pop(partition, None)
        self._held.update(claimed)
        return {partition: cell.reads_from for partition, cell in claimed.items()}

    def _drop_everything(self) -> None:
        self._kept.update((partition, cell.kept) for partition, cell in self._held.items())
        self._upkeep.end()
        self._held.clear()
        self._sound = False

    def _claim_again(self) -> None:
        self._drop_everything()
        self._log.seek(self._claimed(sorted(self._assigned)))
        self._log.resume(self._assigned)
        self._full = False

    def _count_refusal(self, refusal: Refusal) -> None:
        """Drop everything, to claim again; from the second time on after a while.

        Meanwhile the log may tell that somebody else has the partitions.
        """
        self._drop_everything()
        self._refusals += 1
        if self._refusals > REFUSALS_MAX:
            raise Stopped(
                f"the store refused {self._refusals} rounds in a row ({refusal}); "
                "see that only one worker has the partitions, then start it again"
            )
        if self._refusals > 1:
            self._pass_time(REFUSED_WAIT_S * self._refusals)

    def _pass_time(self, seconds: float) -> None:
        """Poll on without reading, so that the group keeps this worker, and tells it what it has lost."""
        with suppress(Unreachable):
            self._log.pause(self._assigned)
            self._log.poll(1, seconds)

    def _wait_out(self, silence: Unreachable) -> None:
        """Let some time pass, up to a bound."""
        self._drop_everything()
        now_ms = self._clock.now_ms()
        if self._unreachable_since_ms is None:
            self._unreachable_since_ms = now_ms
        if now_ms - self._unreachable_since_ms > self._rules.unreachable_ms:
            raise Unavailable(f"{silence}: no answer for {self._rules.unreachable_ms // 1000} s; see to it, then start")
        self._pass_time(RETRY_WAIT_S)

    def _look_back(self, held: Mapping[int, HeldCell]) -> bool:
        """See once a second that all stands where it should, and trim what has been kept for long enough; say
        whether a second was over."""
        now_ms = self._clock.now_ms()
        is_time = not 0 <= now_ms - self._looked_back_ms < LOOK_BACK_EVERY_MS
        if is_time:
            self._readers.look_back(list(held.values()), now_ms, self._rules.kept_ms)
            self._looked_back_ms = now_ms
        return is_time

    def _merge_when_due(self, now_ms: int) -> None:
        """Bring the views along: a merge goes to each of them, so that many small ones cost more than a large one."""
        views = self._readers.views
        gathered = records_of(entry for cell in self._held.values() for entry in cell.unmerged)
        is_due = not self._gathers or not 0 <= now_ms - self._merged_at_ms < views.gather_ms
        if gathered and (is_due or gathered >= views.merge_records_max):
            self._readers.merge(self._held, now_ms)
            self._merged_at_ms = now_ms

    def _keep_up(self) -> None:
        """Do what is due between rounds: merge and emit what was gathered, look back, wait when too much is kept."""
        now_ms, held = self._clock.now_ms(), list(self._held.values())
        self._merge_when_due(now_ms)
        owed = sum(len(cell.owed.dead_letters) + len(cell.owed.outgoing) for cell in held if cell.owed is not None)
        waited_ms = now_ms - self._emitted_at_ms
        if not self._gathers or owed >= GATHERED_MAX or not 0 <= waited_ms < self._readers.outputs.gather_ms:
            self._readers.emit(held)
            self._emitted_at_ms = now_ms
        self._gathers = True
        if self._look_back(self._held):
            self._readers.note(held, self._log.read_to)
        is_full = sum(cell.kept_bytes for cell in held) > self._rules.kept_bytes_max
        if is_full or self._full:  # each time: partitions may have come meanwhile
            (self._log.pause if is_full else self._log.resume)(self._assigned)
            self._full = is_full
