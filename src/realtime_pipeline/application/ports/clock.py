"""Where time comes from."""

from abc import ABC, abstractmethod


class Clock(ABC):
    """The time of day. Only edges ask for it; what the fold does follows from the log alone."""

    @abstractmethod
    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some moment, for measuring how much time has passed: by a clock that is never set, where
        there is one; else the time of day."""
        return self.now_ms()
