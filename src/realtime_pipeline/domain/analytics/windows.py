"""How event time is cut into windows, and these into panes, of which each is counted once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal, get_args

import attrs

from realtime_pipeline.domain.limits import in_bounds
from realtime_pipeline.domain.zones import zone_named

PANES_MAX: Final = 60
"""How many panes a sliding window may have: so many windows an event is in."""
SIZE_MIN_MS: Final = 1_000
SIZE_MAX_MS: Final = 366 * 86_400_000
CalendarUnit = Literal["day", "week", "month"]
_LAST_MS: Final = 253_370_764_800_000
"""The beginning of the year 9999: calendar windows end there, so that each has an end."""


@attrs.frozen
class Window:
    """Windows of event time, as data: `size_ms` or `calendar`.

    Windows of `size_ms` begin at multiples of it since 1970 (UTC): tumbling windows. With `slide_ms`, of which the size
    is a multiple, windows begin at multiples of that, and overlap: sliding windows. `calendar` windows are days, weeks
    (from Monday) or months of `timezone`; where clocks change, a day has 23 or 25 hours. A window has its start, and
    not its end.
    """

    size_ms: int = 0
    slide_ms: int = 0
    calendar: CalendarUnit | Literal[""] = ""
    timezone: str = "UTC"

    def __attrs_post_init__(self) -> None:
        for name in ("size_ms", "slide_ms"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name} must be a whole number, not {getattr(self, name)!r}")
        if bool(self.size_ms) == bool(self.calendar):
            raise ValueError("window needs either size_ms or calendar")
        if self.calendar and self.slide_ms:
            raise ValueError("slide_ms is for windows of size_ms, not of calendar")
        if self.calendar and self.calendar not in get_args(CalendarUnit):
            raise ValueError(f"calendar is one of {', '.join(get_args(CalendarUnit))}, not {self.calendar}")
        zone_named(self.timezone)
        if self.size_ms:
            in_bounds("size_ms", self.size_ms, SIZE_MIN_MS, SIZE_MAX_MS)
        if self.slide_ms:
            in_bounds("slide_ms", self.slide_ms, SIZE_MIN_MS, self.size_ms)
            if self.size_ms % self.slide_ms or self.size_ms // self.slide_ms > PANES_MAX:
                raise ValueError(f"size_ms must be 1 to {PANES_MAX} times slide_ms")

    def cut(self) -> "Cut":
        """The windows, and the panes that they are made of."""
        if self.calendar:
            return CalendarCut(self.calendar, zone_named(self.timezone))
        return FixedCut(self.size_ms, self.slide_ms or self.size_ms)


class Cut(ABC):
    """Cuts time into panes. A window is made of whole panes; times are ms since 1970, UTC."""

    @abstractmethod
    def pane_of(self, at_ms: int) -> int:
        """The start of the pane that contains a time."""

    @abstractmethod
    def windows_of(self, pane_ms: int) -> Sequence[int]:
        """The starts of the windows that contain a pane, the earliest first."""

    @abstractmethod
    def end_of(self, window_ms: int) -> int:
        """The end of a window, which is not in it."""

    @abstractmethod
    def panes_of(self, window_ms: int) -> Sequence[int]:
        """The starts of the panes of a window, the earliest first."""

    @abstractmethod
    def granule_ms(self) -> int:
        """No pane is shorter."""

    def first_open(self, pane_ms: int, limit_ms: int) -> int | None:
        """The start of the earliest window that contains a pane and ends after a time; None where all end before it."""
        for window_ms in self.windows_of(pane_ms):
            if self.end_of(window_ms) > limit_ms:
                return window_ms
        return None


@attrs.frozen
class FixedCut(Cut):
    """Windows of one size. A pane is as long as the slide."""

    size_ms: int
    slide_ms: int

    def pane_of(self, at_ms: int) -> int:
        """Round down to the slide."""
        return at_ms - at_ms % self.slide_ms

    def windows_of(self, pane_ms: int) -> Sequence[int]:
        """The windows that begin within a size before the end of the pane."""
        return range(pane_ms - self.size_ms + self.slide_ms, pane_ms + 1, self.slide_ms)

    def end_of(self, window_ms: int) -> int:
        """Add the size."""
        return window_ms + self.size_ms

    def panes_of(self, window_ms: int) -> Sequence[int]:
        """Every slide within the window."""
        return range(window_ms, window_ms + self.size_ms, self.slide_ms)

    def granule_ms(self) -> int:
        """The slide."""
        return self.slide_ms


@attrs.define
class CalendarCut(Cut):
    """Days, weeks or months of a time zone. A window is one pane."""

    unit: CalendarUnit
    zone: tzinfo
    _last: tuple[int, int] = (0, 0)
    """The window found last: the next event is mostly in it, too."""

    def pane_of(self, at_ms: int) -> int:
        """The start of the day, week or month."""
        return self._window(at_ms)[0]

    def windows_of(self, pane_ms: int) -> Sequence[int]:
        """The pane itself."""
        return (pane_ms,)

    def end_of(self, window_ms: int) -> int:
        """The start of the next window."""
        return self._window(window_ms)[1]

    def panes_of(self, window_ms: int) -> Sequence[int]:
        """The window itself."""
        return (window_ms,)

    def granule_ms(self) -> int:
        """A day in which clocks jump is hours shorter, and never so short."""
        return 60_000

    def _window(self, at_ms: int) -> tuple[int, int]:
        if not self._last[0] <= at_ms < self._last[1]:
            self._last = _calendar_window(self.unit, self.zone, at_ms)
        return self._last


def _calendar_window(unit: CalendarUnit, zone: tzinfo, at_ms: int) -> tuple[int, int]:
    """The window that contains a time. Where clocks go back over midnight, a time may be of the date before."""
    day = datetime.fromtimestamp(min(at_ms, _LAST_MS) // 1_000, zone).replace(hour=0, minute=0, second=0, fold=0)
    first = _first_day(unit, day)
    last = _next(unit, first)
    while _ms(last) <= at_ms < _LAST_MS:
        first, last = last, _next(unit, last)
    return _ms(first), _ms(last)


def _first_day(unit: CalendarUnit, day: datetime) -> datetime:
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if unit == "week" else day


def _next(unit: CalendarUnit, first: datetime) -> datetime:
    if unit == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if unit == "week" else 1)


def _ms(local: datetime) -> int:
    """The instant of a local time. Of a midnight that occurs twice, the first; of one that is skipped, the change."""
    return int(local.timestamp()) * 1_000
