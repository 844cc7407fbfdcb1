"""Pace: hold a rate of events a second."""

import time
from collections.abc import Callable
from typing import Final

STEP_S: Final = 0.2
"""How much of a second's events are published at once, so that the rate is even."""


class Pace:
    """Waits after each batch for as long as the rate asks; without a rate it never waits."""

    def __init__(
        self,
        rate: float | None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = rate
        self._now = now
        self._wait = wait
        self._due_s = now()

    def batch(self, records_max: int) -> int:
        """How many records a batch may have, of at most so many."""
        return records_max if self._rate is None else max(1, min(records_max, int(self._rate * STEP_S)))

    def after(self, published: int) -> None:
        """Wait until the next batch is due. A pause of the source is not made up for."""
        if self._rate is None or not published:
            return
        self._due_s = max(self._due_s, self._now() - STEP_S) + published / self._rate
        left_s = self._due_s - self._now()
        if left_s > 0:
            self._wait(left_s)
