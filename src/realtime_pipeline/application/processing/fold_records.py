"""FoldRecords: decode records, load their customers, and fold them into commits."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ports.cell_store import CellStore, Commit
from realtime_pipeline.application.ports.decoding import Decode, EncodeMessage
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.processing.owned_cell import OwnedCell
from realtime_pipeline.application.routing import MISROUTED, PARTITIONERS
from realtime_pipeline.domain.analytics.pane_notes import BEFORE_ALL_TIME
from realtime_pipeline.domain.analytics.pane_table import PaneTable
from realtime_pipeline.domain.analytics.panes import PaneId
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.profile.unknown_fields import CannotMerge
from realtime_pipeline.domain.shop.events import CustomerId, Event, routing_key
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Foldable, FromNewer, Record, Rejected
from realtime_pipeline.domain.streams.settings import FoldSettings

OF_CUSTOMERS = (Event, ProfileMerged)
Pairs = list[tuple[Record, Foldable]]


class FoldRecords:
    """Makes the commits of the cells that the caller owns, one after the other."""

    def __init__(
        self,
        cells: CellStore,
        decode: Decode,
        encode_message: EncodeMessage,
        identity: LogIdentity,
        settings: FoldSettings,
        observer: StageObserver,
    ) -> None:
        self._cells = cells
        self._decode = decode
        self._encode_message = encode_message
        self._partitions = identity.partitions
        self._partition_for: Callable[[bytes, int], int] = PARTITIONERS[identity.partitioner]
        self._settings = settings
        self._observer = observer

    def decoded(self, owned: Mapping[int, OwnedCell], records: Sequence[Record]) -> dict[int, Pairs]:
        """Decode records, by partition. Records that a cell has folded already, or that no cell owns, are dropped.

        Raises:
            NewerRelease: a newer release wrote a record that this release cannot read.
        """
        by_partition: dict[int, Pairs] = {}
        for record in records:
            cell = owned.get(record.partition)
            if cell is not None and record.position >= cell.position:
                by_partition.setdefault(record.partition, []).append((record, self.routed(record)))
        self._observer.reached(Stage.DECODED, len(records))
        return by_partition

    def __call__(self, owned: Mapping[int, OwnedCell], by_partition: dict[int, Pairs], now_ms: int) -> Iterator[Commit]:
        """Yield the commits of decoded records, those of each cell in order; each advances its cell's position.

        The caller must encode a commit before it asks for the next: the next fold changes the same customers. Folded
        records are removed from `by_partition`, so that they are freed while they are still in the processor's cache.

        Raises:
            NewerRelease: a visitor signs in whose profile only a newer release can merge.
        """
        self._load(owned, by_partition)
        self._load_panes(owned, by_partition)
        self._observer.reached(Stage.LOADED, sum(map(len, by_partition.values())))
        for partition in list(by_partition):
            pairs = by_partition.pop(partition)
            for part, to_position in self._cut(owned[partition], pairs):
                commit = self._fold(owned[partition], part, to_position, now_ms)
                self._observer.reached(Stage.FOLDED, len(part))
                yield commit
                self._observer.reached(Stage.WRITTEN, len(part))

    def routed(self, record: Record) -> Foldable:
        """Decode a record; reject it where its key belongs to another partition, and so to another owner."""
        decoded = self._decode(record)
        if isinstance(decoded, OF_CUSTOMERS) and decoded.customer_id is not None:
            belongs = self._partition_for(routing_key(decoded.customer_id).encode(), self._partitions)
            if belongs != record.partition:
                reason = f"{MISROUTED}: its key belongs to partition {belongs}, it came in {record.partition}"
                return Rejected(reason, decoded.customer_id)
        elif isinstance(decoded, FromNewer):
            raise NewerRelease(f"partition {record.partition}, position {record.position}: {decoded.reason}")
        return decoded

    def _load(self, owned: Mapping[int, OwnedCell], by_partition: Mapping[int, Pairs]) -> None:
        """Load the customers that are not in memory, those of all partitions by one request."""
        to_load: dict[int, list[CustomerId]] = {}
        for partition, pairs in by_partition.items():
            known = owned[partition].customers
            named = {event.customer_id for _, event in pairs if isinstance(event, OF_CUSTOMERS)}
            missing = [id_ for id_ in named if id_ is not None and id_ not in known]
            if missing:
                to_load[partition] = missing
        if to_load:
            loaded = self._cells.load_customers(to_load)
            for partition, customer_ids in to_load.items():
                owned[partition].customers.update((id_, loaded[id_]) for id_ in customer_ids)

    def _load_panes(self, owned: Mapping[int, OwnedCell], by_partition: Mapping[int, Pairs]) -> None:
        """Load the panes that events may change and that are not in memory, those of all partitions by one request."""
        definitions = self._settings.windows
        if not definitions:
            return
        wanted: dict[int, list[PaneId]] = {}
        for partition, pairs in by_partition.items():
            cell = owned[partition]
            if cell.windows is None:
                cell.windows = PaneTable(definitions)
            cell.windows.evict()  # every commit before is written
            wanted[partition] = cell.windows.wanted(event for _, event in pairs if isinstance(event, Event))
        found = self._cells.load_panes({partition: ids for partition, ids in wanted.items() if ids})
        for partition, panes in found.items():
            cell = owned[partition]
            if cell.windows is not None:
                first, _ = by_partition[partition][0]
                is_shortened = cell.position == 0 < first.position
                begins_ms = first.appended_at_ms if is_shortened else BEFORE_ALL_TIME
                ahead_ms = self._settings.max_future_skew_ms
                cell.windows.load(panes, cell.commit_number, cell.watermark.largest_ms, ahead_ms, begins_ms)

    def _cut(self, cell: OwnedCell, pairs: Pairs) -> Iterator[tuple[Pairs, int]]:
        """Cut records into commits of bounded size, and at every position of a view cell or the outputs."""
        begin = 0
        while begin < len(pairs):
            end = min(begin + self._cells.commit_records_max, len(pairs))
            to_position = cell.next_cut(pairs[end - 1][0].position + 1)
            while end > begin and pairs[end - 1][0].position >= to_position:
                end -= 1
            yield pairs[begin:end], to_position
            begin = end

    def _fold(self, cell: OwnedCell, pairs: Pairs, to_position: int, now_ms: int) -> Commit:
        try:
            effects, watermark = fold(pairs, cell.customers, cell.watermark, self._settings, cell.windows)
        except CannotMerge as error:
            raise NewerRelease(
                f"partition {cell.partition}: a visitor signs in, whose profile a newer release wrote and this "
                f"one cannot merge ({error}): upgrade this program"
            ) from None
        cell.mark_used(effects.customers)
        commit = Commit(
            partition=cell.partition,
            epoch=cell.epoch,
            number=cell.commit_number + 1,
            from_position=cell.position,
            to_position=to_position,
            watermark=watermark,
            effects=effects,
            outgoing=tuple(map(self._encode_message, effects.messages)),
            at_ms=now_ms,
        )
        cell.position, cell.commit_number, cell.watermark = to_position, commit.number, watermark
        return commit
