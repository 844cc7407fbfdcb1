"""Event time of one partition: how far it has come, judged from the log's records alone."""

from typing import Final, Self

import attrs

BEGINNING_OF_TIME: Final = -1
END_OF_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: where the tick that ends a finite replay lifts a partition to."""


@attrs.frozen
class Watermark:
    """No event before `at_ms` is waited for any longer. Never goes back.

    `newest_ms` is the largest event time seen, `appended_at_ms` the append time of the record folded last.
    """

    at_ms: int = BEGINNING_OF_TIME
    newest_ms: int = BEGINNING_OF_TIME
    appended_at_ms: int = BEGINNING_OF_TIME

    def seen(self, newest_ms: int, appended_at_ms: int, bound_ms: int) -> Self:
        """Move on by events: the largest event time less the bound on disorder."""
        return type(self)(
            max(self.at_ms, newest_ms - bound_ms),
            max(self.newest_ms, newest_ms),
            max(self.appended_at_ms, appended_at_ms),
        )

    def ticked(self, appended_at_ms: int, floor_ms: int | None) -> Self:
        """Move on by a tick: by the append time passed since the record before, or up to the tick's floor."""
        at_ms = self.at_ms
        if BEGINNING_OF_TIME not in (at_ms, self.appended_at_ms):
            at_ms += max(0, appended_at_ms - self.appended_at_ms)
        if floor_ms is not None:
            at_ms = max(at_ms, floor_ms)
        return type(self)(min(at_ms, END_OF_TIME), self.newest_ms, max(self.appended_at_ms, appended_at_ms))
