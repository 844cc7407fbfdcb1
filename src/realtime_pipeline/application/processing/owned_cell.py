"""One partition's cell, as its owner knows it."""

from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.ports.cell_store import OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.outputs import Emission
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.watermark import Watermark


@attrs.frozen
class OutboxEntryRef:
    """An entry that lies in the store until it is trimmed: where it ends, since when, and how large it is."""

    to_position: int
    since_ms: int
    size: int


@attrs.define
class OwnedCell:
    """One partition's cell in its owner's hands, with where each of its readers stands.

    `view_positions` has a position for each view cell; `start_position` is where the log was to be read from when the
    cell was claimed; `noted` was written down for the next owner; `unmerged` are entries that are gathered for the
    views and not yet merged, `owed` is gathered for the outputs and not yet emitted. `customers` is the owner's memory
    of the cell: it is right only as long as every commit is accepted, and is thrown away with the rest at the first
    refusal.
    """

    partition: int
    epoch: int
    position: int
    commit_number: int
    watermark: Watermark
    view_positions: list[int]
    output_position: int
    start_position: int = 0
    last_noted: OwnerNotes = attrs.Factory(OwnerNotes)
    unmerged: list[OutboxEntry] = attrs.Factory(list)
    pending_emission: Emission | None = None
    outbox: deque[OutboxEntryRef] = attrs.Factory(deque)
    outbox_bytes: int = 0
    customers: dict[CustomerId, Customer] = attrs.Factory(dict)

    @property
    def is_new(self) -> bool:
        """Nothing was ever committed to the cell, and no reader knows of anything."""
        return self.commit_number == 0 and not any((self.position, *self.view_positions, self.output_position))

    @property
    def read_position(self) -> int:
        """Up to where the partition has been read."""
        return max(self.position, self.start_position)

    @property
    def buffered_to(self) -> int:
        """Up to where the outputs are emitted or gathered."""
        return self.output_position if self.pending_emission is None else self.pending_emission.to_position

    def next_cut(self, to_position: int) -> int:
        """Where a batch that ends at `to_position` must be cut: no reader may stand inside of it.

        A reader stands ahead of its cell after the store lost commits that it had acknowledged.
        """
        ahead = (at for at in (*self.view_positions, self.output_position) if self.position < at < to_position)
        return min(ahead, default=to_position)

    def track(self, entry: OutboxEntryRef) -> None:
        """Note an entry that lies in the store, behind those known."""
        self.outbox.append(entry)
        self.outbox_bytes += entry.size

    def restore(self, entries: Sequence[OutboxEntryRef]) -> None:
        """Note entries that lie in the store before those known, the one that ends first coming first."""
        self.outbox.extendleft(reversed(entries))
        self.outbox_bytes += sum(entry.size for entry in entries)

    def pop_oldest(self) -> int:
        """Forget the first entry kept; say where it ends."""
        gone = self.outbox.popleft()
        self.outbox_bytes -= gone.size
        return gone.to_position

    def has_expired(self, now_ms: int, retention_ms: int) -> bool:
        """Whether the first entry kept has been there for so long; or since a time that is yet to come again."""
        return bool(self.outbox) and not 0 <= now_ms - self.outbox[0].since_ms < retention_ms

    def buffer(self, entry: OutboxEntry) -> None:
        """Add an entry to what the outputs are owed; letters of who is forgotten in it are owed no longer."""
        pending = self.pending_emission
        before, from_position = (
            ((), entry.from_position) if pending is None else (pending.dead_letters, pending.from_position)
        )
        forgotten = frozenset() if pending is None else pending.forgotten
        letters = tuple(letter for letter in before if letter.customer_id not in entry.forgotten)
        self.pending_emission = Emission(
            self.partition,
            self.epoch,
            from_position,
            entry.to_position,
            letters + entry.dead_letters,
            forgotten | entry.forgotten,
            (() if pending is None else pending.outgoing) + entry.outgoing,
        )

    def evict_over(self, customers_max: int) -> None:
        """Let go of the customers used longest ago, over a limit."""
        while len(self.customers) > customers_max:
            del self.customers[next(iter(self.customers))]

    def mark_used(self, customers: Mapping[CustomerId, Customer]) -> None:
        """Remember customers as the ones used last."""
        for customer_id, customer in customers.items():
            self.customers.pop(customer_id, None)
            self.customers[customer_id] = customer
