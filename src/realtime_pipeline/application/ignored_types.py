"""Which types of events were ignored: counted by name, and not more names than can be shown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record

NAMED_MAX: Final = 64
OTHER: Final = "other"
"""Stands for the types that are too many to be named."""


def ignored_types(decoded: Iterable[Sequence[tuple[Record, Decoded]]]) -> Mapping[str, int]:
    """Count the ignored events of some partitions' records by type."""
    return Counter(event.event_type for pairs in decoded for _, event in pairs if isinstance(event, Ignored))


def add_types(total: dict[str, int], counts: Mapping[str, int]) -> None:
    """Add counts by type to a total of at most `NAMED_MAX` names; further names count as `OTHER`."""
    for name, count in counts.items():
        known = name if name in total or len(total) < NAMED_MAX else OTHER
        total[known] = total.get(known, 0) + count
