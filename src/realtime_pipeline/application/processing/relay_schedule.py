"""RelaySchedule: when the outbox is merged into views, emitted as outputs, verified and trimmed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from realtime_pipeline.application.errors import RecoverableError
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.processing.outbox_relay import OutboxRelay, records_in
from realtime_pipeline.application.processing.owned_cell import OwnedCell

VERIFY_EVERY_MS: Final = 1_000
BUFFERED_MAX: Final = 5_000
"""So many outputs are emitted at once, however short the linger time has been."""


class RelaySchedule:
    """Decides when the relay does what.

    Views and outputs say for how long entries may be buffered (`linger_ms`): many small calls cost more than a large
    one. Positions are verified, and expired outbox entries trimmed, once a second.
    """

    def __init__(self, relay: OutboxRelay, clock: Clock, outbox_retention_ms: int) -> None:
        self._relay = relay
        self._clock = clock
        self._outbox_retention_ms = outbox_retention_ms
        self._merged_at_ms = self._emitted_at_ms = self._verified_at_ms = 0
        self._lingering = True

    @property
    def lingers(self) -> bool:
        """Whether the next round may wait for more records before it merges and emits."""
        return self._lingering

    def flush_next(self) -> None:
        """Merge and emit in the next round whatever is buffered."""
        self._lingering = False

    def verify_next(self) -> None:
        """Verify positions in the next round, however long ago that was done."""
        self._verified_at_ms = 0

    def buffer(self, owned: Mapping[int, OwnedCell], entries: Sequence[OutboxEntry]) -> None:
        """Take over the outbox entries that were committed; merge and emit them where nothing lingers.

        Raises:
            As `OutboxRelay.merge` and `OutboxRelay.emit`.
        """
        now_ms = self._clock.now_ms()
        for entry in entries:
            owned[entry.partition].unmerged.append(entry)
            self._relay.buffer(owned[entry.partition], entry)
        self._merge_when_due(owned, now_ms)
        if self._relay.outputs.linger_ms == 0:
            self._relay.emit(list(owned.values()))

    def run(self, owned: Mapping[int, OwnedCell], consumed_position: Callable[[int], int]) -> None:
        """Do what is due between rounds: merge, emit, verify and trim.

        Raises:
            As `OutboxRelay.merge`, `OutboxRelay.emit` and `OutboxRelay.verify_and_trim`.
        """
        now_ms, cells = self._clock.now_ms(), list(owned.values())
        self._merge_when_due(owned, now_ms)
        pending = [cell.pending_emission for cell in cells if cell.pending_emission is not None]
        outputs = sum(emission.size for emission in pending)
        waited_ms = now_ms - self._emitted_at_ms
        if not self._lingering or outputs >= BUFFERED_MAX or not 0 <= waited_ms < self._relay.outputs.linger_ms:
            self._relay.emit(cells)
            self._emitted_at_ms = now_ms
        self._lingering = True
        if self.verify_and_trim(owned):
            self._relay.note_progress(cells, consumed_position)

    def verify_and_trim(self, owned: Mapping[int, OwnedCell]) -> bool:
        """Verify once a second that cells, views and outputs have the positions they reported, and trim the outboxes.

        Returns whether a second had passed.

        Raises:
            PositionMismatch: a cell, a view cell or the outputs have gone back.
            Unreachable: a store or the log does not answer.
        """
        now_ms = self._clock.now_ms()
        is_due = not 0 <= now_ms - self._verified_at_ms < VERIFY_EVERY_MS
        if is_due:
            self._relay.verify_and_trim(list(owned.values()), now_ms, self._outbox_retention_ms)
            self._verified_at_ms = now_ms
        return is_due

    def drain(self, owned: Mapping[int, OwnedCell], consumed_position: Callable[[int], int]) -> None:
        """Merge and emit what is buffered, so that the next owner has less to do; what fails is left to the next."""
        with suppress(RecoverableError):
            self._relay.merge(owned, self._clock.now_ms())
        with suppress(RecoverableError):
            self._relay.emit(owned.values())
        self._relay.note_progress(list(owned.values()), consumed_position)

    def _merge_when_due(self, owned: Mapping[int, OwnedCell], now_ms: int) -> None:
        views = self._relay.views
        buffered = records_in(entry for cell in owned.values() for entry in cell.unmerged)
        is_due = not self._lingering or not 0 <= now_ms - self._merged_at_ms < views.linger_ms
        if buffered and (is_due or buffered >= views.merge_records_max):
            self._relay.merge(owned, now_ms)
            self._merged_at_ms = now_ms
