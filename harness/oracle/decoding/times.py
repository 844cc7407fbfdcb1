"""Times of events: milliseconds since 1970, or ISO 8601 text."""

import re
from datetime import date
from typing import Final

from harness.oracle.decoding.errors import RejectedRecord

END_MS: Final = 253_402_300_799_999
SECONDS_MIN, SECONDS_END = 10**9, 10**10
DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS = 86_400_000, 3_600_000, 60_000, 1_000

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_ISO: Final = re.compile(
    r"(?P<day>[0-9W-]{7,10})"
    r"(?:[Tt ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hour>\d\d):?(?P<zone_minute>\d\d)?)?)?",
    re.ASCII,
)


def time_ms(value: object) -> int:
    """Read a timestamp.

    Raises:
        RejectedRecord: the value is neither a number of milliseconds nor ISO 8601 text, is outside the years 1970 to
            9999, or looks like seconds.
    """
    if isinstance(value, str):
        at_ms = _parse(value)
    elif type(value) is int or type(value) is float:
        if SECONDS_MIN <= value < SECONDS_END:
            raise RejectedRecord("invalid_timestamp", "looks like seconds; milliseconds since 1970 are expected")
        at_ms = int(value)
    else:
        raise RejectedRecord("invalid_timestamp", "neither a number nor text")
    if not 0 <= at_ms < END_MS:
        raise RejectedRecord("invalid_timestamp", "not in the years 1970 to 9999")
    return at_ms


def _parse(text: str) -> int:
    """Parse ISO 8601 text as ms since 1970. The second :60 is the next :00, and 24:00:00 the next midnight."""
    parts = _ISO.fullmatch(text)
    if parts is None:
        raise RejectedRecord("invalid_timestamp", "text is not an ISO 8601 time")
    try:
        day = date.fromisoformat(parts["day"]).toordinal() - _EPOCH_DAY
    except ValueError:
        raise RejectedRecord("invalid_timestamp", "no such day") from None
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    fraction = parts["fraction"] or ""
    is_midnight = (hour, minute, second) == (24, 0, 0) and not fraction.strip("0")
    if not is_midnight and (hour > 23 or minute > 59 or second > 60):
        raise RejectedRecord("invalid_timestamp", "no such time of day")
    in_day_ms = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + int(f"{fraction}000"[:3])
    return day * DAY_MS + in_day_ms - _offset_ms(parts)


def _offset_ms(parts: re.Match[str]) -> int:
    """How far the zone is ahead of UTC."""
    if parts["sign"] is None:
        return 0
    hour, minute = int(parts["zone_hour"]), int(parts["zone_minute"] or 0)
    if hour > 23 or minute > 59:
        raise RejectedRecord("invalid_timestamp", "no such zone")
    offset_ms = hour * HOUR_MS + minute * MINUTE_MS
    return -offset_ms if parts["sign"] == "-" else offset_ms
