"""Cells in memory."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import Fenced, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, ClaimedCell, Commit, OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX, SessionKey, SessionSummary
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.digests import tombstone_key
from realtime_pipeline.infrastructure.codecs.state import (
    decode_customer,
    decode_session_summary,
    encode_customer,
    encode_session_summary,
)

ENTRY_BYTES = 200
"""About what a record's share of an entry takes."""


@attrs.define
class _Cell:
    epoch: int = 0
    position: int = 0
    number: int = 0
    watermark: Watermark = attrs.Factory(Watermark)
    entries: list[OutboxEntry] = attrs.Factory(list)
    counts: dict[RecordClass, int] = attrs.Factory(dict)
    noted: OwnerNotes = attrs.Factory(OwnerNotes)


class MemoryCellStore(CellStore):
    """Dictionaries, behind the same claims, fences and kept entries as a store across a network.

    Customers and sessions are kept as bytes, so that nobody holds a part of the store by accident.
    """

    def __init__(self, session_retention_ms: int) -> None:
        self._session_retention_ms = session_retention_ms
        self._identity: LogIdentity | None = None
        self._cells: dict[int, _Cell] = {}
        self._customers: dict[CustomerId, bytes] = {}
        self._sessions: dict[SessionKey, bytes] = {}
        self._reviews: dict[CustomerId, dict[ProductId, Review]] = {}
        self._tombstones: dict[bytes, int] = {}

    @property
    def commit_records_max(self) -> int:
        """Nobody waits for a commit here."""
        return sys.maxsize

    def bind(self, identity: LogIdentity) -> None:
        """Tie the store to a log."""
        if self._identity not in (None, identity):
            raise WrongLog(f"the store was built from log {self._identity}, this is {identity}; use another store")
        self._identity = identity

    def epoch(self, partition: int) -> int:
        """The largest epoch written to the cell."""
        return self._cell(partition).epoch

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read where cells stand."""
        return {partition: self._cell(partition).position for partition in partitions}

    def claim(self, partition: int, epoch: int) -> ClaimedCell:
        """Write a new epoch, then read where the cell stands."""
        cell = self._cell(partition)
        if epoch <= cell.epoch:
            raise Fenced(f"partition {partition} has epoch {cell.epoch} already")
        cell.epoch = epoch
        return ClaimedCell(cell.position, cell.number, cell.watermark)

    def load_customers(self, wanted: Mapping[int, Collection[CustomerId]]) -> dict[CustomerId, Customer]:
        """Load the customers wanted of each partition."""
        return {id_: self._loaded(id_) for customer_ids in wanted.values() for id_ in customer_ids}

    def outbox(self, partition: int, after: int) -> Iterator[OutboxEntry]:
        """Read the entries that end after a position."""
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
            raise Fenced(f"partition {commit.partition} stands at {cell}, not where {commit.from_position} begins")
        effects = commit.effects
        for customer_id, at_ms in effects.tombstones.items():
            self._customers.pop(customer_id, None)
            self._reviews.pop(customer_id, None)
            self._tombstones[tombstone_key(customer_id)] = at_ms
        for customer_id, customer in effects.customers.items():
            self._customers[customer_id] = encode_customer(customer)
        for key in effects.sessions_dropped:
            self._sessions.pop(key, None)
        for key, session in effects.sessions.items():
            self._sessions[key] = encode_session_summary(session)
        for (customer_id, product_id), review in effects.reviews.items():
            if review is not None:
                self._reviews.setdefault(customer_id, {})[product_id] = review
            elif customer_id in self._reviews:
                self._reviews[customer_id].pop(product_id, None)
        for name, count in effects.counts.items():
            cell.counts[name] = cell.counts.get(name, 0) + count
        cell.position, cell.number, cell.watermark = commit.to_position, commit.number, commit.watermark
        cell.entries.append(commit.entry)

    def trim(self, partition: int, epoch: int, to_position: int) -> None:
        """Let go of entries that end at or before a position."""
        cell = self._cell(partition)
        if epoch == cell.epoch:
            cell.entries = [entry for entry in cell.entries if entry.to_position > to_position]

    def write_notes(self, notes: Mapping[int, OwnerNotes]) -> None:
        """Write down what owners have seen."""
        for partition, one in notes.items():
            self._cell(partition).noted = one

    def read_notes(self, partition: int) -> OwnerNotes:
        """Read what an owner wrote down last."""
        return self._cell(partition).noted

    def erase(self) -> None:
        """Delete all cells."""
        for kept in (self._cells, self._customers, self._sessions, self._reviews, self._tombstones):
            kept.clear()

    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers."""
        values = ((customer_id, self._customers.get(customer_id)) for customer_id in customer_ids)
        return {customer_id: decode_customer(value, customer_id) for customer_id, value in values if value is not None}

    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read what sessions leave for others."""
        values = ((key, self._sessions.get(key)) for key in keys)
        found = {key: decode_session_summary(value) for key, value in values if value is not None}
        oldest_ms = {
            partition: min(cell.watermark.newest_ms, now_ms) - self._session_retention_ms
            for partition, cell in list(self._cells.items())
        }
        return {key: trail for key, trail in found.items() if trail.last_at_ms >= oldest_ms[key % PARTITIONS_MAX]}

    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews."""
        reviews = self._reviews.get(customer_id, {})
        return sorted([*reviews.values()], key=lambda review: (-review.occurred_at_ms, review.product_id))

    def scan(self) -> Iterator[Customer]:
        """Read every customer."""
        for value in list(self._customers.values()):
            yield decode_customer(value)

    def counts(self) -> Mapping[RecordClass, int]:
        """How many records were folded into each class."""
        total: dict[RecordClass, int] = {}
        for cell in list(self._cells.values()):
            for name, count in list(cell.counts.items()):
                total[name] = total.get(name, 0) + count
        return total

    def _cell(self, partition: int) -> _Cell:
        return self._cells.setdefault(partition, _Cell())

    def _loaded(self, customer_id: CustomerId) -> Customer:
        known = self.read_customer(customer_id)
        if known is not None:
            return known
        forgotten_at_ms = self._tombstones.get(tombstone_key(customer_id))
        return Customer(customer_id) if forgotten_at_ms is None else Customer.forgotten(customer_id, forgotten_at_ms)
