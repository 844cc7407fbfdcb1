"""Reading the times of events."""

from datetime import UTC, datetime, timedelta
from typing import Final

from realtime_pipeline.domain.shop.iso_times import parse_iso
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.infrastructure.codecs.invalid import Invalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MILLISECONDS_FROM: Final = 10**10
_SECONDS: Final = range(10**9, _MILLISECONDS_FROM)


def read_time(value: object) -> int:
    """Read a time in milliseconds since 1970, or in ISO 8601 (UTC if it names no zone); return milliseconds.

    A number that would be a time of this century in seconds is refused: as milliseconds it would be in early 1970.

    Raises:
        Invalid: the value is neither, or not within 1970 to 9999.
    """
    if type(value) is int and _MILLISECONDS_FROM <= value < END_OF_TIME:
        return value  # as nearly all times are
    if isinstance(value, str):
        at_ms = _parse_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at_ms = int(value)
        if at_ms in _SECONDS:
            raise Invalid(f"invalid_timestamp: {at_ms} looks like seconds since 1970; send milliseconds")
    else:
        at_ms = -1
    if 0 <= at_ms < END_OF_TIME:
        return at_ms
    raise Invalid("invalid_timestamp: it must be milliseconds since 1970, or an ISO 8601 time after it")


def _parse_text(text: str) -> int:
    try:
        time, added = parse_iso(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) + added - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise Invalid("invalid_timestamp: text must be an ISO 8601 time") from None
