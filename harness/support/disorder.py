"""Brings source records out of order, by a seed."""

import heapq
import random
from collections.abc import Iterable, Iterator
from typing import Final

from harness.support.source_record import SourceRecord

POSITIONS_MAX: Final = 200
"""How many positions a record moves at most: in the file of a shop about an hour, so that some are late for windows."""


def disordered(
    records: Iterable[SourceRecord], seed: int, positions_max: int = POSITIONS_MAX
) -> Iterator[SourceRecord]:
    """Shuffle records so that none moves by more than a number of positions; the same seed gives the same order.

    Each record is put at its own position plus a random part of the bound, and all are sorted by that.
    """
    rng = random.Random(seed)
    waiting: list[tuple[float, int, SourceRecord]] = []
    for number, record in enumerate(records):
        while waiting and waiting[0][0] <= number:
            yield heapq.heappop(waiting)[2]
        heapq.heappush(waiting, (number + rng.random() * positions_max, number, record))
    while waiting:
        yield heapq.heappop(waiting)[2]
