"""What the windows over a log must hold: for each definition, every window's events by key, and how many were late.

Plain loops over the events of each partition; no pane, no merge, no chunk.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from harness.oracle.identity import KEY_STRIDE
from harness.oracle.listings import WindowTick
from harness.oracle.window_fields import field_of, holds, text_of
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import Event

NO_TIME: Final = -1
LAST_MS: Final = 253_402_300_799_999
Key = tuple[str | None, ...] | None
"""The values of a key's fields; None: the events of all keys beyond the definition's number."""


@attrs.frozen
class TimedEvent:
    """An event that moves its partition's time: whether windows count it, when it was appended, and a checksum of its
    record."""

    event: Event
    is_counted: bool
    appended_ms: int
    checksum: int = 0
    is_imported: bool = False


@attrs.define
class PartitionTime:
    """How far a partition has come: with ticks, and by events alone; and when the record was appended that moved it."""

    time_ms: int = NO_TIME
    events_ms: int = NO_TIME
    risen_ms: int = NO_TIME
    imported_ms: list[int] = attrs.Factory(list)

    def add(self, found: TimedEvent | WindowTick) -> None:
        """Move on by an event or a tick."""
        if isinstance(found, TimedEvent):
            reached = min(found.event.occurred_at_ms, found.appended_ms)
            if found.is_imported:
                self.imported_ms = [*self.imported_ms[-99:], reached]
                reached = sorted([NO_TIME, *self.imported_ms])[-2]
            self.events_ms = max(self.events_ms, reached)
        else:
            reached = self.time_ms
            if NO_TIME not in (self.time_ms, self.risen_ms):
                passed = min(found.tick.elapsed_ms, found.appended_ms - self.risen_ms)
                reached += passed if passed > 0 else 0
            if found.tick.floor_ms is not None and found.tick.seen_ms == found.appended_before_ms:
                reached = max(reached, found.tick.floor_ms)
        if reached > self.time_ms:
            self.time_ms = min(reached, LAST_MS)
            self.risen_ms = max(self.risen_ms, found.appended_ms)


@attrs.define
class ExpectedWindows:
    """The windows of a definition.

    `events` has the events of each window, by its start, and key. `late_events` has the events for which all their
    windows were final, by the keys of their positions, with the number of these windows; `late_by_ticks` is the number
    of those for which that would not have been so without ticks.
    """

    events: dict[tuple[int, Key], list[Event]] = attrs.Factory(dict)
    ends_ms: dict[int, int] = attrs.Factory(dict)
    late_events: dict[SessionKey, int] = attrs.Factory(dict)
    late_by_ticks: int = 0

    @property
    def late(self) -> int:
        """How many events were late."""
        return len(self.late_events)


def expected_windows(
    definitions: Sequence[WindowedAggregate],
    timed: Mapping[SessionKey, TimedEvent],
    ticks: Mapping[SessionKey, WindowTick],
) -> tuple[dict[str, ExpectedWindows], dict[int, int]]:
    """Compute the windows of all definitions over the events and ticks of a log, by the keys of their positions.

    Returns:
        The windows of each definition, and how far each partition has come.
    """
    expected = {definition.name: ExpectedWindows() for definition in definitions}
    steps: dict[SessionKey, TimedEvent | WindowTick] = {**timed, **ticks}
    times: dict[int, PartitionTime] = {}
    for key in sorted(steps):  # in log order within each partition
        found, time = steps[key], times.setdefault(key % KEY_STRIDE, PartitionTime())
        if isinstance(found, TimedEvent) and found.is_counted:
            for definition in definitions:
                _count(definition, key, found.event, time, expected[definition.name])
        time.add(found)
    for definition in definitions:
        _trim_keys(definition, expected[definition.name])
    return expected, {partition: time.time_ms for partition, time in times.items()}


def late_events_of(expected: Mapping[str, ExpectedWindows]) -> dict[SessionKey, dict[str, int]]:
    """The late events by the keys of their positions: the definitions, and how many windows of each were missed."""
    late: dict[SessionKey, dict[str, int]] = {}
    for name, windows in expected.items():
        for key, missed in windows.late_events.items():
            late.setdefault(key, {})[name] = missed
    return late


def _count(
    definition: WindowedAggregate,
    position: SessionKey,
    event: Event,
    time: PartitionTime,
    expected: ExpectedWindows,
) -> None:
    if not all(holds(field_of(definition, event, name), condition) for name, condition in definition.where.items()):
        return
    windows = windows_at(definition.window, event.occurred_at_ms)
    allowed_ms = definition.bound_ms + definition.lateness_ms
    open_ = [(start, end) for start, end in windows if time.time_ms < end + allowed_ms]
    if not open_:
        expected.late_events[position] = len(windows)
        expected.late_by_ticks += any(time.events_ms < end + allowed_ms for _, end in windows)
        return
    if not any(is_measured(definition, name, event) for name in definition.measures):
        return
    key = tuple(text_of(definition, event, name) for name in definition.key)
    for start, end in open_:
        expected.events.setdefault((start, key), []).append(event)
        expected.ends_ms[start] = end


def is_measured(definition: WindowedAggregate, name: str, event: Event) -> bool:
    """Whether an event has something for a measure."""
    measure = definition.measures[name]
    if not all(holds(field_of(definition, event, field), condition) for field, condition in measure.where.items()):
        return False
    if measure.measure in ("count", "ratio"):
        return True
    if measure.measure in ("first", "last", "top", "distinct"):
        return text_of(definition, event, measure.field) is not None
    return number_of(definition, event, measure.field) is not None


def number_of(definition: WindowedAggregate, event: Event, name: str) -> float | int | None:
    """A field as a number, in its own unit."""
    value = field_of(definition, event, name)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 10**12
    return value if is_number else None  # type: ignore[return-value]


def windows_at(window: Window, at_ms: int) -> list[tuple[int, int]]:
    """The start and end of every window that contains a time, the earliest first."""
    if window.size_ms:
        step = window.slide_ms or window.size_ms
        last = at_ms // step * step
        starts = [last - number * step for number in range(window.size_ms // step)]
        return [(start, start + window.size_ms) for start in sorted(starts) if start <= at_ms < start + window.size_ms]
    zone = UTC if window.timezone == "UTC" else ZoneInfo(window.timezone)
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(zone).date()
    first = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[window.calendar]
    after = {
        "day": first + timedelta(days=1),
        "week": first + timedelta(days=7),
        "month": (first + timedelta(days=32)).replace(day=1),
    }[window.calendar]
    edges = [datetime(date.year, date.month, date.day, tzinfo=zone).timestamp() for date in (first, after)]
    return [(round(edges[0] * 1_000), round(edges[1] * 1_000))]


def _trim_keys(definition: WindowedAggregate, expected: ExpectedWindows) -> None:
    """Keep of each window the keys with the smallest hashes, and the events of all others together."""
    keys_of: dict[int, list[tuple[str | None, ...]]] = {}
    for start, found in expected.events:
        if found is not None:
            keys_of.setdefault(start, []).append(found)
    for start, keys in keys_of.items():
        for key in sorted(keys, key=_hash)[definition.keys_max :]:
            others = expected.events.setdefault((start, None), [])
            others += expected.events.pop((start, key))


def _hash(key: Iterable[str | None]) -> bytes:
    parts = ["-," if part is None else f"{len(part)}:{part}," for part in key]
    return blake2b("".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
