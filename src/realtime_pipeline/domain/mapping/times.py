"""Reading times as a shop's systems write them."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final

from realtime_pipeline.domain.mapping.numbers import read_number
from realtime_pipeline.domain.shop.iso_times import parse_iso

ReadTime = Callable[[object], object]
"""Returns milliseconds since 1970 (UTC); the value as it is where it cannot be read."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_TEXT_MAX: Final = 64
_DIGITS_MAX: Final = 24
_DATE_DIGITS: Final = 8
"""Text of so many digits is a date, 20251010; of any other number of digits, milliseconds."""
_SPACED_OFFSET: Final = re.compile(r"(.*\d) ([+-]\d\d:?\d\d)(?: [A-Z]{2,5})?", re.ASCII)
"""An offset behind a blank, and behind it the name of the zone, as Go writes times."""
UNITS: Final = (*_PER_SECOND, "iso")


def time_reader(forms: str | Sequence[str], zone: tzinfo) -> ReadTime:
    """Return a function that reads times.

    Args:
        forms: "" for milliseconds or ISO 8601; "s", "ms", "us" or "ns" for a number of these since 1970; "iso"; or a
            pattern of `datetime.strptime` such as "%d.%m.%Y %H:%M". Of several, the first that can read a time counts.
        zone: that of times which name none. Of a time that occurs twice, when clocks go back, the first is meant; a
            time that clocks skip is as far after the change as it is written after the skipped hour began.

    Raises:
        ValueError: one is none of these.
    """
    readers = [_reader(form, zone) for form in ((forms,) if isinstance(forms, str) else forms)]
    if not readers:
        raise ValueError("time needs at least one form")

    def read(value: object) -> object:
        for reader in readers:
            found = reader(value)
            if found is not None:
                return found
        return value

    return read


def _reader(form: str, zone: tzinfo) -> Callable[[object], int | None]:
    if form in _PER_SECOND:
        return _unit_reader(_PER_SECOND[form])
    if form == "iso":
        return lambda value: _read_iso(value, zone)
    if form == "":
        return lambda value: _read_digits(value) if isinstance(value, int | float) else _read_any(value, zone)
    if "%" not in form:
        raise ValueError(f'time is one of {", ".join(UNITS)} or a pattern such as "%d.%m.%Y %H:%M", not "{form}"')
    if "%Z" in form:
        raise ValueError(
            'time: %Z says no offset to Python: write %z, or the name of the zone as it is, as in "%H:%M UTC"'
        )
    try:
        datetime.strptime("", form)  # noqa: DTZ007 - it reads nothing
    except ValueError as error:
        if "bad directive" in str(error) or "stray" in str(error):
            raise ValueError(f'time: "{form}" is no pattern of strptime ({error})') from None
    return _pattern_reader(form, zone)


def _unit_reader(per_second: int) -> Callable[[object], int | None]:
    def read(value: object) -> int | None:
        if type(value) is int:
            return value * 1_000 // per_second
        number = read_number(value)
        if number is None or number.adjusted() > _DIGITS_MAX:
            return None
        return int((number * Decimal(1_000) / per_second).to_integral_value("ROUND_FLOOR"))

    return read


def _read_any(value: object, zone: tzinfo) -> int | None:
    """Read ISO 8601, or milliseconds as text."""
    found = _read_digits(value)
    return _read_iso(value, zone) if found is None else found


def _read_digits(value: object) -> int | None:
    """Read milliseconds: a number, or text of digits that is no date."""
    if isinstance(value, str):
        text = value.strip()
        is_number = text.isascii() and text.isdigit() and len(text) != _DATE_DIGITS and len(text) <= _TEXT_MAX
        return int(text) if is_number else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _pattern_reader(pattern: str, zone: tzinfo) -> Callable[[object], int | None]:
    @lru_cache(1_024)
    def read_text(text: str) -> int | None:
        try:
            return _to_ms(datetime.strptime(text, pattern), zone)  # noqa: DTZ007 - its zone is set there
        except (ValueError, OverflowError):
            return None

    def read(value: object) -> int | None:
        if isinstance(value, datetime):
            return _to_ms(value, zone)
        return read_text(value.strip()) if isinstance(value, str) and len(value) <= _TEXT_MAX else None

    return read


def _read_iso(value: object, zone: tzinfo) -> int | None:
    if isinstance(value, datetime):
        return _to_ms(value, zone)
    if not isinstance(value, str) or len(value) > _TEXT_MAX:
        return None
    text = value.strip()
    if text.endswith(" UTC"):
        text, zone = text.removesuffix(" UTC"), UTC
    if spaced := _SPACED_OFFSET.fullmatch(text):
        text = spaced[1] + spaced[2]
    try:
        time, added = parse_iso(text)
        return _to_ms(time + added, zone)
    except (ValueError, OverflowError):
        return None


def _to_ms(time: datetime, zone: tzinfo) -> int:
    return ((time if time.tzinfo else time.replace(tzinfo=zone)) - _EPOCH) // _MILLISECOND
