"""Last-write-wins registers (LWW, a CRDT)."""

import sys
from typing import Final

LastWrite = tuple[str | int, int]
"""A value and the time of the event that has it, in ms. The later of two wins; at the same time, the larger value."""

FUTURE_SKEW_MAX_MS: Final = 3_600_000
"""A value whose time is so much later than the clock comes from a wrong clock."""


def last_write_wins(left: LastWrite | None, right: LastWrite | None, latest_ms: int = sys.maxsize) -> LastWrite | None:
    """Merge two registers; the merge is commutative, associative and idempotent.

    The values of a field have one type (name and category are text, price is a number), so they compare. A value of a
    time after `latest_ms` loses to any other: a clock that was ahead must not win for years.
    """
    if left is None or right is None:
        return left or right
    if (left[1] > latest_ms) != (right[1] > latest_ms):
        return left if left[1] <= latest_ms else right
    if left[1] != right[1]:
        return left if left[1] > right[1] else right
    return max(left, right)
