"""Facts of which the last write wins."""

import sys
from typing import Final

LastWrite = tuple[str | int, int]
"""A value and when it was last said, in ms. Of two, the later holds; at the same time, the larger value."""


AHEAD_MAX_MS: Final = 3_600_000
"""A fact that is said to be of a time so much later than the clock comes from a clock that is wrong."""


def last_write_wins(one: LastWrite | None, other: LastWrite | None, latest_ms: int = sys.maxsize) -> LastWrite | None:
    """Merge what two sources said: commutative, associative, idempotent.

    A field is always of one type (name and category text, price a number), so values compare. A fact of a time after
    `latest_ms` holds only as long as there is no other: else one clock that was ahead would decide for years.
    """
    if one is None or other is None:
        return one or other
    if (one[1] > latest_ms) != (other[1] > latest_ms):
        return one if one[1] <= latest_ms else other
    if one[1] != other[1]:
        return one if one[1] > other[1] else other
    return max(one, other)
