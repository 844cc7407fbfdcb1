"""Parsing times in ISO 8601, strictly."""

import re
from datetime import datetime, timedelta
from typing import Final

_TEXT_MAX: Final = 64
"""Characters of a time as text; ISO 8601 needs half as many."""

_ISO: Final = re.compile(
    r"[0-9Ww-]{7,10}(?:[Tt ]\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
"""The accepted forms of a time. Python accepts more, and reads half a minute ("10:00.5") as half a second."""

_END_OF_DAY: Final = re.compile(r"(\S{7,10}[Tt ])24(:?00(?::?00(?:[.,]0+)?)?)?(?![\d:.,])(.*)")
_LEAP_SECOND: Final = re.compile(r"(\S{7,10}[Tt ]\d\d:?\d\d:?)60(?!\d)(.*)")


def parse_iso(text: str) -> tuple[datetime, timedelta]:
    """Parse a time; return it with what to add to it, since Python supports neither 24:00 nor leap seconds.

    Raises:
        ValueError: it is not written as a time.
    """
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
