"""The machine's clock."""

import time

from realtime_pipeline.application.ports.clock import Clock


class SystemClock(Clock):
    """The time of this machine."""

    def now_ms(self) -> int:
        """Read the time in milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Read the monotonic clock."""
        return time.monotonic_ns() // 1_000_000
