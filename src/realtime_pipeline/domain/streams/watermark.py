"""Event time of one partition: how far it has come, judged from the log's records alone."""

from collections.abc import Iterable
from typing import Final, Self

import attrs

from realtime_pipeline.domain.shop.times import END_OF_TIME

BEGINNING_OF_TIME: Final = -1


@attrs.frozen
class Watermark:
    """No event before `at_ms` is waited for any longer. Never goes back.

    An event counts with its time, but at most with the time at which its record was appended. `largest_ms` is the
    largest of these times, `newest_ms` the second-largest: one clock that is far ahead moves it no further than another
    event has been. Each is -1 as long as there is none. `appended_at_ms` is the append time of the record folded last.
    """

    at_ms: int = BEGINNING_OF_TIME
    newest_ms: int = BEGINNING_OF_TIME
    appended_at_ms: int = BEGINNING_OF_TIME
    largest_ms: int = BEGINNING_OF_TIME

    def advanced(self, largest_ms: int, newest_ms: int, appended_at_ms: int, bound_ms: int) -> Self:
        """Move on by events, of which, with all before, these are the two largest times: by the largest less the bound
        on disorder."""
        return type(self)(
            max(self.at_ms, largest_ms - bound_ms), newest_ms, max(self.appended_at_ms, appended_at_ms), largest_ms
        )

    def ticked(self, appended_at_ms: int, floor_ms: int | None) -> Self:
        """Move on by a tick: by the append time passed since the record before, or up to the tick's floor."""
        at_ms = self.at_ms
        if BEGINNING_OF_TIME not in (at_ms, self.appended_at_ms):
            at_ms += max(0, appended_at_ms - self.appended_at_ms)
        if floor_ms is not None:
            at_ms = max(at_ms, floor_ms)
        return attrs.evolve(
            self, at_ms=min(at_ms, END_OF_TIME), appended_at_ms=max(self.appended_at_ms, appended_at_ms)
        )


@attrs.define
class EventClock:
    """A partition's watermark while records are folded: the largest times of events are gathered, and applied when the
    watermark is read."""

    watermark: Watermark
    max_out_of_orderness_ms: int
    largest_ms: int = attrs.Factory(lambda self: self.watermark.largest_ms, takes_self=True)
    newest_ms: int = attrs.Factory(lambda self: self.watermark.newest_ms, takes_self=True)
    appended_at_ms: int = attrs.Factory(lambda self: self.watermark.appended_at_ms, takes_self=True)

    def advance(self, at_ms: int, appended_at_ms: int) -> None:
        """Count the time of an event into the two largest times; at most as the time at which it was appended."""
        at_ms = min(at_ms, appended_at_ms)
        if at_ms > self.largest_ms:
            self.newest_ms, self.largest_ms = self.largest_ms, at_ms
        elif at_ms > self.newest_ms:
            self.newest_ms = at_ms

    def tick(self, appended_at_ms: int, floor_ms: int | None) -> None:
        """Move on by a tick."""
        self.watermark = self.read().ticked(appended_at_ms, floor_ms)

    def read(self) -> Watermark:
        """The watermark after the records so far."""
        self.watermark = self.watermark.advanced(
            self.largest_ms, self.newest_ms, self.appended_at_ms, self.max_out_of_orderness_ms
        )
        return self.watermark


def shop_time_ms(marks: Iterable[Watermark], now_ms: int) -> int:
    """How far the shop's time has come by the watermarks of its partitions, and at most to `now_ms`.

    It is the second-largest time of all events, or the only one: no single event moves it further than another has
    been. -1 where nothing has happened.
    """
    times = sorted(at_ms for mark in marks for at_ms in (mark.largest_ms, mark.newest_ms) if at_ms >= 0)
    return min(times[-2:][0], now_ms) if times else BEGINNING_OF_TIME
