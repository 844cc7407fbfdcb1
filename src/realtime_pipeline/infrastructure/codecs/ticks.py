"""Ticks as records of the log. Their keys begin alike; what follows is the number of their form.

No event can have such a key, since ids are printable.
"""

from typing import Annotated, Final

import msgspec

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.records import FromNewer, Rejected, Tick, WatermarkTick

KEY_OF_TICKS: Final = b"\0tick"
"""The key of ticks before windows, and the prefix of all others."""
TICK_KEY: Final = b"\0tick2"

_Time = Annotated[int, msgspec.Meta(ge=0, le=END_OF_TIME)]


class _TickDocument(msgspec.Struct, omit_defaults=True):
    """A tick: see `Tick`. `seen_ms` is -1 where its owner had folded no record."""

    elapsed_ms: _Time
    seen_ms: Annotated[int, msgspec.Meta(ge=-1, le=END_OF_TIME)]
    floor_ms: _Time | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_TickDocument).decode


def encode_tick(tick: Tick, partition: int) -> Outgoing:
    """Write a tick as a record of a partition."""
    document = _TickDocument(tick.elapsed_ms, tick.seen_ms, tick.floor_ms)
    return Outgoing(TICK_KEY, _encode(document), partition=partition)


def decode_tick(key: bytes, value: bytes) -> Tick | WatermarkTick | Rejected | FromNewer:
    """Read a tick."""
    if key == KEY_OF_TICKS:
        return _watermark_tick(value)
    if key != TICK_KEY:
        return FromNewer(f"a tick of the form {ascii(key)[2:-1]} was written by a newer release: upgrade this program")
    try:
        document = _decode(value)
    except ValueError as error:
        return Rejected(f"invalid_tick: {error}"[:200])
    return Tick(document.elapsed_ms, document.seen_ms, document.floor_ms)


def _watermark_tick(value: bytes) -> WatermarkTick | Rejected:
    try:
        return WatermarkTick(int(value) if value else None)
    except ValueError:
        return Rejected("invalid_tick: its floor is a whole number of milliseconds, or nothing")
