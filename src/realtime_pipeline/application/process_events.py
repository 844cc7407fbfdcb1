"""ProcessEvents: read the log, fold it per customer, commit each cell, and bring the readers along."""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from realtime_pipeline.application.cells import HeldCell, Readers
from realtime_pipeline.application.claim_cells import ClaimCells
from realtime_pipeline.application.errors import Refusal, Stopped
from realtime_pipeline.application.ports.cell_store import Commit, Entry
from realtime_pipeline.application.ports.decoding import Decode
from realtime_pipeline.application.ports.event_log import EventLog, PartitionOwner
from realtime_pipeline.application.ports.stages import Stage, Stages
from realtime_pipeline.application.routing import partition_for
from realtime_pipeline.domain.limits import at_least
from realtime_pipeline.domain.shop.events import Event, routing_key
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Decoded, Record, Rejected
from realtime_pipeline.domain.streams.rules import FoldRules

REFUSALS_MAX = 5


@attrs.frozen
class WorkerRules:
    """How much a worker takes on at once. `cached_customers_max` bounds its memory, over all its partitions."""

    round_records_max: int = 10_000
    cached_customers_max: int = 20_000
    idle_wait_ms: int = 20

    def __attrs_post_init__(self) -> None:
        at_least(1, self)


@attrs.frozen
class Round:
    """What one round came to: how many records it read, and how many fell in each class."""

    records: int = 0
    counts: Mapping[RecordClass, int] = attrs.Factory(dict)


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


@attrs.frozen
class _Slice:
    """Records of one partition that are folded and committed at once, up to `to_position`."""

    cell: HeldCell
    records: list[Record]
    to_position: int


class ProcessEvents(PartitionOwner):
    """The worker. One call is one round: poll, decode, load, fold, commit each cell, merge, emit.

    After a refusal (somebody else has claimed a cell, or a reader stands elsewhere than believed) everything in
    memory is dropped, all cells are claimed again, and reading goes on from where they stand.
    """

    def __init__(
        self,
        log: EventLog,
        readers: Readers,
        decode: Decode,
        fold_rules: FoldRules,
        rules: WorkerRules,
        stages: Stages,
    ) -> None:
        self._log = log
        self._readers = readers
        self._claim_cells = ClaimCells(log, readers)
        self._decode = decode
        self._fold_rules = fold_rules
        self._rules = rules
        self._stages = stages
        self._assigned: set[int] = set()
        self._held: dict[int, HeldCell] = {}
        self._refusals = 0
        self._sound = True
        readers.cells.bind(log.identity)
        self._partitions = log.identity.partitions
        log.subscribe(self)

    def gained(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Claim the cells of partitions, and say where to read from."""
        self._assigned |= set(partitions)
        claimed = self._claim_cells(partitions)
        self._held.update(claimed)
        return {partition: cell.position for partition, cell in claimed.items()}

    def lost(self, partitions: Collection[int]) -> None:
        """Drop all memory of partitions."""
        self._assigned -= set(partitions)
        for partition in partitions:
            self._held.pop(partition, None)

    def __call__(self, timeout_s: float) -> Round:
        """Work off one batch of records, waiting at most `timeout_s` for the first.

        Raises:
            Stopped: only a person can decide how to go on; the message says what and how.
        """
        if not self._sound:
            self._claim_again()
        self._sound = False  # until the round has ended well, the log or memory may be ahead of the store
        records = self._log.poll(self._rules.round_records_max, timeout_s)
        self._stages.reached(Stage.FETCHED, len(records))
        if not records:
            self._sound = True
            return Round()
        counts = dict.fromkeys(RecordClass, 0)
        try:
            with collector_paused():
                for batch in self._cut(records):
                    self._process(batch, counts)
        except Refusal as refusal:
            self._refusals += 1
            if self._refusals > REFUSALS_MAX:
                raise Stopped(
                    f"the store refused {self._refusals} rounds in a row ({refusal}); "
                    "see that only one worker has the partitions, then start it again"
                ) from None
            return Round()
        self._sound = True
        self._refusals = 0
        self._stages.reached(Stage.ROUND_DONE, len(records))
        return Round(len(records), {name: count for name, count in counts.items() if count})

    def run(self, stop: Callable[[], bool], on_round: Callable[[Round], None]) -> None:
        """Work until told to stop; `stop` is asked between rounds."""
        while not stop():
            on_round(self(self._rules.idle_wait_ms / 1000))

    def catch_up(
        self, on_round: Callable[[Round], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Work until the end that the log had when the call began is reached, or until told to stop."""
        on_round(self(0))
        ends = {partition: end for partition, (_, end) in self._log.bounds(list(self._held)).items()}
        while not stop() and any(cell.position < ends.get(number, 0) for number, cell in self._held.items()):
            on_round(self(self._rules.idle_wait_ms / 1000))

    def _claim_again(self) -> None:
        self._held.clear()
        self._log.seek(self.gained(sorted(self._assigned)))
        self._sound = True

    def _cut(self, records: Sequence[Record]) -> Iterator[list["_Slice"]]:
        """Sort a poll's records by partition, and cut where a reader stands ahead of its cell.

        Records that the cell has already, or whose partition has gone meanwhile, are dropped.
        """
        remaining: dict[int, list[Record]] = {}
        for record in records:
            cell = self._held.get(record.partition)
            if cell is not None and record.position >= cell.position:
                remaining.setdefault(record.partition, []).append(record)
        while remaining:
            batch, rest = [], {}
            for partition, ordered in remaining.items():
                cell = self._held[partition]
                to_position = cell.next_cut(ordered[-1].position + 1)
                taken = [record for record in ordered if record.position < to_position]
                batch.append(_Slice(cell, taken, to_position))
                if len(taken) < len(ordered):
                    rest[partition] = ordered[len(taken) :]
            yield batch
            remaining = rest

    def _process(self, batch: Sequence["_Slice"], counts: dict[RecordClass, int]) -> None:
        total = sum(len(part.records) for part in batch)
        decoded = [[(record, self._routed(record, self._decode(record))) for record in part.records] for part in batch]
        self._stages.reached(Stage.DECODED, total)
        for part, pairs in zip(batch, decoded, strict=True):
            self._load(part.cell, pairs)
        self._stages.reached(Stage.LOADED, total)
        commits = [self._fold(part, pairs) for part, pairs in zip(batch, decoded, strict=True)]
        self._stages.reached(Stage.FOLDED, total)
        with self._readers.cells.together():
            self._write(commits, total)
        self._stages.reached(Stage.EMITTED, total)
        for part, commit in zip(batch, commits, strict=True):
            for name, count in commit.effects.counts.items():
                counts[name] += count
            part.cell.bounded_to(self._rules.cached_customers_max // len(self._held))

    def _write(self, commits: Sequence[Commit], total: int) -> None:
        """Commit every cell, then bring views and outputs along."""
        entries: list[tuple[HeldCell, Entry]] = []
        for commit in commits:
            self._readers.cells.commit(commit)
            cell = self._held[commit.partition]
            cell.position, cell.number, cell.watermark = commit.to_position, commit.number, commit.watermark
            entries.append((cell, commit.entry))
        self._stages.reached(Stage.COMMITTED, total)
        self._readers.merge(entries)
        self._stages.reached(Stage.MERGED, total)
        for cell, entry in entries:
            self._readers.emit(cell, entry)
            self._readers.trim(cell)

    def _routed(self, record: Record, decoded: Decoded) -> Decoded:
        """Refuse an event that lies in a partition its key does not belong to: its customer has another owner."""
        if isinstance(decoded, Event) and decoded.customer_id is not None:
            belongs = partition_for(routing_key(decoded.customer_id).encode(), self._partitions)
            if belongs != record.partition:
                reason = f"misrouted: its key belongs to partition {belongs}, it came in {record.partition}"
                return Rejected(reason, decoded.customer_id)
        return decoded

    def _load(self, cell: HeldCell, pairs: Sequence[tuple[Record, Decoded]]) -> None:
        wanted = {event.customer_id for _, event in pairs if isinstance(event, Event) and event.customer_id is not None}
        missing = [customer_id for customer_id in wanted if customer_id not in cell.customers]
        if missing:
            cell.customers.update(self._readers.cells.customers(cell.partition, missing))

    def _fold(self, part: "_Slice", pairs: Sequence[tuple[Record, Decoded]]) -> Commit:
        cell = part.cell
        effects, watermark = fold(pairs, cell.customers, cell.watermark, self._fold_rules)
        cell.use(effects.customers)
        return Commit(
            partition=cell.partition,
            epoch=cell.epoch,
            number=cell.number + 1,
            from_position=cell.position,
            to_position=part.to_position,
            watermark=watermark,
            effects=effects,
        )
