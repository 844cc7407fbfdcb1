"""Reading the times of events."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.infrastructure.codecs.invalid import Invalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MILLISECONDS_FROM: Final = 10**10
_SECONDS: Final = range(10**9, _MILLISECONDS_FROM)
_TEXT_MAX: Final = 64
"""Characters of a time as text; ISO 8601 needs half as many."""

_ISO: Final = re.compile(
    r"[0-9Ww-]{7,10}(?:[Tt ]\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
"""The accepted forms of a time. Python accepts more, and reads half a minute ("10:00.5") as half a second."""

_END_OF_DAY: Final = re.compile(r"(\S{7,10}[Tt ])24(:?00(?::?00(?:[.,]0+)?)?)?(?![\d:.,])(.*)")
_LEAP_SECOND: Final = re.compile(r"(\S{7,10}[Tt ]\d\d:?\d\d:?)60(?!\d)(.*)")


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
        time, added = _parse_iso(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) + added - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise Invalid("invalid_timestamp: text must be an ISO 8601 time") from None


def _parse_iso(text: str) -> tuple[datetime, timedelta]:
    """Parse a time; return it with what to add to it, since Python supports neither 24:00 nor leap seconds."""
    if len(text) > _TEXT_MAX or not _ISO.fullmatch(text):
        raise ValueError("not written as a time")
    try:
        return datetime.fromisoformat(text), timedelta()
    except ValueError:
        if found := _LEAP_SECOND.fullmatch(text):
            return datetime.fromisoformat(f"{found[1]}59{found[2]}"), timedelta(seconds=1)
        if found := _END_OF_DAY.fullmatch(text):
            return datetime.fromisoformat(f"{found[1]}00{found[2] or ''}{found[3]}"), timedelta(days=1)
        raise
