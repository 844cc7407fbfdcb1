"""Reading times as a shop's systems write them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from realtime_pipeline.domain.mapping.numbers import read_number

ReadTime = Callable[[object], object]
"""Returns milliseconds since 1970 (UTC); the value as it is where it cannot be read."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_TEXT_MAX: Final = 64
UNITS: Final = (*_PER_SECOND, "iso")


def zone_named(name: str) -> tzinfo:
    """Return a time zone of the IANA database by its name.

    Raises:
        ValueError: there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f'"{name}" is no time zone: write a name such as "Europe/Berlin", or "UTC"') from None


def time_reader(form: str, zone: tzinfo) -> ReadTime:
    """Return a function that reads times.

    Args:
        form: "" for milliseconds or ISO 8601; "s", "ms", "us" or "ns" for a number of these since 1970; "iso"; or a
            pattern of `datetime.strptime` such as "%d.%m.%Y %H:%M".
        zone: that of times which name none. Of a time that occurs twice, when clocks go back, the first is meant.

    Raises:
        ValueError: it is none of these.
    """
    if form in _PER_SECOND:
        return _unit_reader(_PER_SECOND[form])
    if form in ("", "iso"):
        return lambda value: _read_iso(value, zone) if isinstance(value, str | datetime) else value
    if "%" not in form:
        raise ValueError(f'time is one of {", ".join(UNITS)} or a pattern such as "%d.%m.%Y %H:%M", not "{form}"')
    return _pattern_reader(form, zone)


def _unit_reader(per_second: int) -> ReadTime:
    def read(value: object) -> object:
        if type(value) is int:
            return value * 1_000 // per_second
        number = read_number(value)
        return value if number is None else int((number * Decimal(1_000) / per_second).to_integral_value("ROUND_FLOOR"))

    return read


def _pattern_reader(pattern: str, zone: tzinfo) -> ReadTime:
    @lru_cache(1_024)
    def read_text(text: str) -> int | None:
        try:
            return _to_ms(datetime.strptime(text, pattern), zone)  # noqa: DTZ007 - its zone is set there
        except (ValueError, OverflowError):
            return None

    def read(value: object) -> object:
        if isinstance(value, datetime):
            return _to_ms(value, zone)
        found = read_text(value.strip()) if isinstance(value, str) and len(value) <= _TEXT_MAX else None
        return value if found is None else found

    return read


def _read_iso(value: str | datetime, zone: tzinfo) -> object:
    if isinstance(value, datetime):
        return _to_ms(value, zone)
    text = value.strip().removesuffix(" UTC")
    if text != value.strip():
        zone = UTC
    if len(text) > _TEXT_MAX:
        return text
    try:
        return _to_ms(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        return text if zone is UTC else value  # the decoder knows more forms, in UTC


def _to_ms(time: datetime, zone: tzinfo) -> int:
    return ((time if time.tzinfo else time.replace(tzinfo=zone)) - _EPOCH) // _MILLISECOND
