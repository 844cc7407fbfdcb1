"""Backoff: how long a worker waits after conflicts and silence, and when it gives up."""

from typing import Final

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState

CONFLICTS_MAX: Final = 10
"""After so many conflicts in a row the worker stops: somebody else claims the same cells again and again."""
CONFLICT_WAIT_S: Final = 0.1
RETRY_WAIT_S: Final = 0.2


class Backoff:
    """Counts conflicts in a row, and measures how long log or store have been unreachable."""

    def __init__(self, give_up_after_ms: int) -> None:
        self._give_up_after_ms = give_up_after_ms
        self._conflicts = 0
        self._unreachable_since_ms: int | None = None

    def reset(self) -> None:
        """Forget earlier failures, after a round that succeeded."""
        self._conflicts = 0
        self._unreachable_since_ms = None

    def after_conflict(self, conflict: RecoverableError) -> float:
        """How many seconds to wait before cells are claimed again: 0 after the first conflict, then longer each time.

        Raises:
            UnrecoverableState: there were more than `CONFLICTS_MAX` conflicts in a row.
        """
        self._conflicts += 1
        if self._conflicts > CONFLICTS_MAX:
            raise UnrecoverableState(
                f"the store refused {self._conflicts} rounds in a row ({conflict}); "
                "see that only one worker has the partitions, then start it again"
            )
        return CONFLICT_WAIT_S * self._conflicts if self._conflicts > 1 else 0.0

    def after_silence(self, silence: Unreachable, now_ms: int) -> float:
        """How many seconds to wait before log and store are tried again.

        Raises:
            Unavailable: they have been unreachable for longer than `give_up_after_ms`.
        """
        if self._unreachable_since_ms is None:
            self._unreachable_since_ms = now_ms
        if now_ms - self._unreachable_since_ms > self._give_up_after_ms:
            raise Unavailable(
                f"{silence}: no answer for {self._give_up_after_ms // 1000} s; see to it, then start the worker"
            )
        return RETRY_WAIT_S
