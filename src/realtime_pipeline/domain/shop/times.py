"""Times as text: ISO 8601 in UTC with milliseconds, a form that events may have, too."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999
"""The first and the last millisecond of the years 1 to 9999."""


def utc_text(at_ms: int) -> str:
    """Write a time in ms since 1970 as text, such as 2025-10-10T01:21:51.250Z.

    A record may have any time: one before the year 1 or after the year 9999 is written as the first or the last.
    """
    time = _EPOCH + timedelta(milliseconds=max(_FIRST_MS, min(_LAST_MS, at_ms)))
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


END_OF_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: the watermark that the last tick of a finite replay sets."""
