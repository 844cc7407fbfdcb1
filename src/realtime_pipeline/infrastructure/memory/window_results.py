"""Results of windows in memory."""

from collections.abc import Collection, Mapping, Sequence

from realtime_pipeline.application.errors import Fenced
from realtime_pipeline.application.ports.window_results import Emitted, WindowResults
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.infrastructure.codecs.window_results import decode_result, encode_result


class MemoryWindowResults(WindowResults):
    """Keeps results as bytes, so that no caller shares an object with the store.

    `is_lossless` is False in tests that set the store back, as a failover would.
    """

    def __init__(self, is_lossless: bool = True) -> None:
        self._is_lossless = is_lossless
        self._emitted: dict[str, Emitted] = {}
        self._results: dict[str, dict[int, tuple[int, list[bytes]]]] = {}

    @property
    def is_lossless(self) -> bool:
        """Memory has no failover, but in tests."""
        return self._is_lossless

    def emitted(self, fingerprints: Collection[str]) -> Mapping[str, Emitted]:
        """Read how far the results of definitions are written."""
        return {fingerprint: self._emitted.get(fingerprint, Emitted()) for fingerprint in fingerprints}

    def write(
        self,
        fingerprint: str,
        results: Sequence[WindowResult],
        emitted: Emitted,
        now_ms: int,
        before: Emitted | None = None,
    ) -> None:
        """Write results, and how far they go."""
        if before is not None and before != self.emitted([fingerprint])[fingerprint]:
            raise Fenced(f"results of {fingerprint} are not written as far as they were")
        by_start: dict[int, list[bytes]] = {}
        for result in results:
            by_start.setdefault(result.start_ms, []).append(encode_result(result))
        windows = self._results.setdefault(fingerprint, {})
        windows.update((start_ms, (now_ms, encoded)) for start_ms, encoded in by_start.items())
        self._emitted[fingerprint] = emitted

    def write_again(self) -> None:
        """Forget how far results are written."""
        self._emitted.clear()

    def starts(self, fingerprint: str, from_ms: int, to_ms: int, limit: int) -> Sequence[int]:
        """The starts of the latest windows with results."""
        starts = [start_ms for start_ms in list(self._results.get(fingerprint, {})) if from_ms <= start_ms < to_ms]
        return sorted(starts, reverse=True)[:limit]

    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, Sequence[WindowResult]]:
        """Read the results of windows."""
        windows = self._results.get(fingerprint, {})
        return {
            start_ms: [decode_result(encoded) for encoded in windows[start_ms][1]]
            for start_ms in starts_ms
            if start_ms in windows
        }

    def expire(self, fingerprint: str, before_ms: int, limit: int) -> int:
        """Delete the results written before a time."""
        windows = self._results.get(fingerprint, {})
        expired = [start_ms for start_ms, (at_ms, _) in windows.items() if at_ms < before_ms][:limit]
        for start_ms in expired:
            del windows[start_ms]
        return len(expired)
