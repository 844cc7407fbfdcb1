"""A record of the log, and what decoding makes of it."""

from typing import NamedTuple

import attrs

from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.shop.events import CustomerId, Event


class Record(NamedTuple):  # one for every row of the log: see Event
    """One entry of the log: bytes with a place and the time at which the log took them in.

    `origin` says where a file's line came from (`orders.csv:17`).
    """

    partition: int
    position: int
    key: bytes | None
    value: bytes
    appended_at_ms: int
    origin: str | None = None


@attrs.frozen
class Tick:
    """Time passing on a quiet partition, written into the log by its owner: it moves the time of windows.

    `elapsed_ms` is how long ago, by the owner's clock, the partition's time had risen. `seen_ms` is the append time of
    the last record that the owner had folded; `floor_ms` lifts the time to it, unless other records came in between.
    """

    elapsed_ms: int
    seen_ms: int
    floor_ms: int | None = None


@attrs.frozen
class WatermarkTick:
    """A tick as releases before windows wrote it: it moves the watermark alone; `floor_ms` lifts the watermark."""

    floor_ms: int | None = None


@attrs.frozen
class Ignored:
    """A well-formed event of a type that this shop gives no meaning to."""

    event_type: str


@attrs.frozen
class Rejected:
    """A record that cannot be folded; the reason says what to mend in it, the customer whose it would have been."""

    reason: str
    customer_id: CustomerId | None = None


@attrs.frozen
class FromNewer:
    """A worker's message that only a newer release can read: nothing behind it may be folded before that does."""

    reason: str


Foldable = Event | ProfileMerged | Tick | WatermarkTick | Ignored | Rejected
Decoded = Foldable | FromNewer
