"""WindowResults: the results of windows that are final, kept when their panes are gone."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.results import WindowResult

BEFORE_ALL_TIME: Final = -1


@attrs.frozen
class Emitted:
    """How far the results of a definition are written.

    Results of all windows that were final at `emitted_ms` are written. Those of windows that were final at `settled_ms`
    are written for so long that no failover loses them: their panes may be deleted. `marked_ms` is what `emitted_ms`
    was at `marked_at_ms`, by the worker's clock.
    """

    emitted_ms: int = BEFORE_ALL_TIME
    settled_ms: int = BEFORE_ALL_TIME
    marked_ms: int = BEFORE_ALL_TIME
    marked_at_ms: int = 0

    def advanced(self, emitted_ms: int, now_ms: int, settle_ms: int) -> "Emitted":
        """Move on to `emitted_ms`; what was marked `settle_ms` ago is settled."""
        if not settle_ms:
            return Emitted(emitted_ms, emitted_ms, emitted_ms, now_ms)
        if 0 <= now_ms - self.marked_at_ms < settle_ms:
            return attrs.evolve(self, emitted_ms=emitted_ms)
        is_set_back = now_ms < self.marked_at_ms  # the clock: then nothing is known of how much time has passed
        settled_ms = self.settled_ms if is_set_back else self.marked_ms
        return Emitted(emitted_ms, settled_ms, emitted_ms, now_ms)


class WindowResults(ABC):
    """Keeps results of windows by definition, start and key; writing a result again replaces it.

    The worker that owns the partition to which a definition's name belongs writes; any process reads, from any thread.
    Methods may block for round trips to the store; each may raise `Unreachable`.
    """

    @property
    @abstractmethod
    def is_lossless(self) -> bool:
        """Whether no failover loses what was written."""

    @abstractmethod
    def emitted(self, fingerprints: Collection[str]) -> Mapping[str, Emitted]:
        """Read how far the results of definitions are written."""

    @abstractmethod
    def write(
        self,
        fingerprint: str,
        results: Sequence[WindowResult],
        emitted: Emitted,
        now_ms: int,
        before: Emitted | None = None,
    ) -> None:
        """Write results, whole windows, and then how far they go. Whoever sees the second finds the first.

        Args:
            fingerprint: the definition's.
            results: what to write; may be empty.
            emitted: how far results are written with these.
            now_ms: the worker's clock, by which results expire.
            before: how far they were written, as the caller knows it; None for as far as they are now.

        Raises:
            Fenced: they are not written as far as `before`, or the results are gone already: a failover has set them
                back, or another worker writes. How far they go has not changed.
        """

    @abstractmethod
    def write_again(self) -> None:
        """Forget how far results are written, of all definitions; results stay until they are written again."""

    @abstractmethod
    def starts(self, fingerprint: str, from_ms: int, to_ms: int, limit: int) -> Sequence[int]:
        """The starts of windows in [from, to) that have results: at most `limit`, the latest, in descending order."""

    @abstractmethod
    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, Sequence[WindowResult]]:
        """Read the results of windows, by their start; a window without results is left out."""

    @abstractmethod
    def expire(self, fingerprint: str, before_ms: int, limit: int) -> int:
        """Delete the results of windows that were written before a time, at most `limit` windows; return how many."""
