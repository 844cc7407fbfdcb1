"""One partition's cell, as its owner knows it."""

from collections import deque
from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.ports.cell_store import OutboxEntry, OwnerNotes
from realtime_pipeline.application.ports.outputs import Emission
from realtime_pipeline.domain.analytics.pane_table import PaneTable
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.watermark import Watermark


@attrs.frozen
class OutboxEntryRef:
    """An outbox entry in the store, until it is trimmed: its end position, its age and its size in bytes."""

    to_position: int
    since_ms: int
    size: int


@attrs.define
class OwnedCell:
    """One partition's cell as its owner knows it, with the positions of its view cells and outputs.

    `view_positions` has a position for each view cell; `start_position` is the position of the log to read from, as of
    the claim; `last_noted` are the notes written last. `unmerged` are entries not yet merged into the views,
    `pending_emission` the outputs not yet emitted, `outbox` the entries not yet trimmed, the oldest first. `customers`
    is an LRU cache: valid only while every commit is accepted, and dropped with the rest after the first failure. The
    same holds for the panes of `windows`.
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
    windows: PaneTable | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever committed to the cell, merged or emitted."""
        return self.commit_number == 0 and not any((self.position, *self.view_positions, self.output_position))

    @property
    def read_position(self) -> int:
        """The position up to which the partition is folded, or where reading starts."""
        return max(self.position, self.start_position)

    @property
    def buffered_to(self) -> int:
        """The position up to which outputs are emitted or buffered."""
        return self.output_position if self.pending_emission is None else self.pending_emission.to_position

    def next_cut(self, to_position: int) -> int:
        """Where a batch that ends at `to_position` must be cut: no view cell or output position may lie inside of it.

        Views or outputs are ahead of their cell after the store lost commits that it had acknowledged.
        """
        ahead = (at for at in (*self.view_positions, self.output_position) if self.position < at < to_position)
        return min(ahead, default=to_position)

    def track(self, entry: OutboxEntryRef) -> None:
        """Track a new outbox entry, behind those known."""
        self.outbox.append(entry)
        self.outbox_bytes += entry.size

    def restore(self, entries: Sequence[OutboxEntryRef]) -> None:
        """Track outbox entries from before this claim, in order, ahead of those known."""
        self.outbox.extendleft(reversed(entries))
        self.outbox_bytes += sum(entry.size for entry in entries)

    def pop_oldest(self) -> int:
        """Stop tracking the oldest outbox entry; return its end position."""
        oldest = self.outbox.popleft()
        self.outbox_bytes -= oldest.size
        return oldest.to_position

    def has_expired(self, now_ms: int, retention_ms: int) -> bool:
        """Whether the oldest outbox entry is older than `retention_ms`, or from the future: the clock was set back."""
        return bool(self.outbox) and not 0 <= now_ms - self.outbox[0].since_ms < retention_ms

    def buffer(self, entry: OutboxEntry) -> None:
        """Add an entry to the pending emission, and drop what is pending there of customers that it forgets."""
        at = entry.from_position
        pending = self.pending_emission or Emission(self.partition, self.epoch, at, at, ())
        letters, late_events = pending.dead_letters, pending.late_events
        if entry.forgotten:
            letters = tuple(letter for letter in letters if letter.customer_id not in entry.forgotten)
            late_events = tuple(late for late in late_events if late.customer_id not in entry.forgotten)
        self.pending_emission = Emission(
            self.partition,
            self.epoch,
            pending.from_position,
            entry.to_position,
            letters + entry.dead_letters,
            pending.forgotten | entry.forgotten,
            pending.outgoing + entry.outgoing,
            late_events + entry.late_events,
        )

    def evict_over(self, customers_max: int) -> None:
        """Evict the least recently used customers over a limit."""
        while len(self.customers) > customers_max:
            del self.customers[next(iter(self.customers))]

    def mark_used(self, customers: Mapping[CustomerId, Customer]) -> None:
        """Make customers the most recently used."""
        for customer_id, customer in customers.items():
            self.customers.pop(customer_id, None)
            self.customers[customer_id] = customer
