"""Cells in memory."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import Fenced, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, ClaimedCell, Commit, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.analytics.measures.accumulator import Chunk
from realtime_pipeline.domain.analytics.pane_notes import NOTES_MS, purged
from realtime_pipeline.domain.analytics.panes import ChunkId, Chunks, PaneId
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.state import (
    decode_customer,
    encode_customer,
    encode_session_summary,
)

ENTRY_BYTES = 200
"""The assumed size of an outbox entry, a record."""


@attrs.define
class Cell:
    """The cell of a partition, without its customers, sessions and reviews."""

    epoch: int = 0
    position: int = 0
    number: int = 0
    watermark: Watermark = attrs.Factory(Watermark)
    entries: list[OutboxEntry] = attrs.Factory(list)
    counts: dict[RecordClass, int] = attrs.Factory(dict)
    notes: OwnerNotes = attrs.Factory(OwnerNotes)


class MemoryCellStore(CellStore):
    """Keeps cells in dictionaries, with the same claims, fences and outboxes as a store across a network.

    Customers and sessions are stored as bytes, so that no caller shares an object with the store. Only this class
    writes `cells`, `customers`, `sessions`, `reviews` and `panes`; the queries in memory read them.
    """

    def __init__(self) -> None:
        self._identity: LogIdentity | None = None
        self.cells: dict[int, Cell] = {}
        self.customers: dict[CustomerId, bytes] = {}
        self.sessions: dict[SessionKey, bytes] = {}
        self.reviews: dict[CustomerId, dict[ProductId, Review]] = {}
        self._tombstones: dict[bytes, int] = {}
        self.panes: dict[int, dict[PaneId, dict[ChunkId, Chunk]]] = {}

    @property
    def commit_records_max(self) -> int:
        """Unbounded: a commit blocks nobody."""
        return sys.maxsize

    @property
    def partitions(self) -> int:
        """The number of partitions of the log that the store is bound to; 0 before."""
        return 0 if self._identity is None else self._identity.partitions

    def bind(self, identity: LogIdentity) -> None:
        """Bind the store to a log."""
        if self._identity not in (None, identity):
            raise WrongLog(f"the store was built from log {self._identity}, this is {identity}; use another store")
        self._identity = identity

    def epoch(self, partition: int) -> int:
        """Read the largest epoch written to the cell."""
        return self._cell(partition).epoch

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells."""
        return {partition: self._cell(partition).position for partition in partitions}

    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, which fences earlier owners, then read the position of the cell."""
        cell = self._cell(partition)
        if epoch <= cell.epoch:
            raise Fenced(f"partition {partition} has epoch {cell.epoch} already")
        cell.epoch = epoch
        return ClaimedCell(cell.position, cell.number, cell.watermark)

    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the wanted customers of each partition."""
        return {id_: self._load(id_) for customer_ids in wanted.values() for id_ in customer_ids}

    def load_panes(self, wanted: Mapping[int, Collection[PaneId]]) -> Mapping[int, Mapping[PaneId, Chunks]]:
        """Load panes, by partition."""
        return {
            partition: {id_: dict(self.panes.get(partition, {}).get(id_, {})) for id_ in pane_ids}
            for partition, pane_ids in wanted.items()
        }

    def purge_panes(
        self, partition: int, epoch: int, fingerprint: str, starts_ms: Collection[int], purged_ms: int
    ) -> None:
        """Delete panes, and note it."""
        if epoch != self._cell(partition).epoch:
            raise Fenced(f"partition {partition} has another owner")
        panes = self.panes.setdefault(partition, {})
        panes.setdefault(PaneId(fingerprint, NOTES_MS), {}).update(purged(purged_ms))
        for start_ms in starts_ms:
            panes.pop(PaneId(fingerprint, start_ms), None)

    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the outbox entries that end after a position."""
        return iter([entry for entry in self._cell(partition).entries if entry.to_position > after])

    def commit(self, commits: Iterable[Commit]) -> Sequence[int]:
        """Write each commit, all or nothing."""
        sizes = []
        for commit in commits:
            self._commit(commit)
            sizes.append(ENTRY_BYTES * (commit.to_position - commit.from_position))
        return sizes

    def _commit(self, commit: Commit) -> None:
        cell = self._cell(commit.partition)
        if (commit.epoch, commit.from_position, commit.number) != (cell.epoch, cell.position, cell.number + 1):
            raise Fenced(
                f"partition {commit.partition} has epoch {cell.epoch} and position {cell.position}; "
                f"the commit has {commit.epoch} and {commit.from_position}"
            )
        effects = commit.effects
        for customer_id, at_ms in effects.tombstones.items():
            self.customers.pop(customer_id, None)
            self.reviews.pop(customer_id, None)
            self._tombstones[tombstone_key(customer_id)] = at_ms
        for customer_id, customer in effects.customers.items():
            self.customers[customer_id] = encode_customer(customer)
        for key in effects.sessions_dropped:
            self.sessions.pop(key, None)
        for key, session in effects.sessions.items():
            self.sessions[key] = encode_session_summary(session)
        for (customer_id, product_id), review in effects.reviews.items():
            if review is not None:
                self.reviews.setdefault(customer_id, {})[product_id] = review
            elif customer_id in self.reviews:
                self.reviews[customer_id].pop(product_id, None)
        for pane_id, changes in effects.panes.items():
            chunks = self.panes.setdefault(commit.partition, {}).setdefault(pane_id, {})
            chunks.update((chunk_id, chunk) for chunk_id, chunk in changes.items() if chunk is not None)
            for chunk_id in [id_ for id_, chunk in changes.items() if chunk is None]:
                chunks.pop(chunk_id, None)
        for name, count in effects.counts.items():
            cell.counts[name] = cell.counts.get(name, 0) + count
        cell.position, cell.number, cell.watermark = commit.to_position, commit.number, commit.watermark
        cell.entries.append(commit.entry)

    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Delete the outbox entries that end at or before a position."""
        cell = self._cell(partition)
        if epoch == cell.epoch:
            cell.entries = [entry for entry in cell.entries if entry.to_position > to_position]

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write the notes of owners."""
        for partition, note in notes.items():
            self._cell(partition).notes = note

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read the notes that an owner wrote last."""
        return self._cell(partition).notes

    def erase(self) -> None:
        """Delete all cells."""
        for dictionary in (
            *(self.cells, self.customers, self.sessions, self.reviews),
            *(self._tombstones, self.panes),
        ):
            dictionary.clear()

    def _cell(self, partition: int) -> Cell:
        return self.cells.setdefault(partition, Cell())

    def _load(self, customer_id: CustomerId) -> Customer:
        value = self.customers.get(customer_id)
        if value is not None:
            return decode_customer(value, customer_id)
        forgotten_at_ms = self._tombstones.get(tombstone_key(customer_id))
        return Customer(customer_id) if forgotten_at_ms is None else Customer.forgotten(customer_id, forgotten_at_ms)
