"""Late events: each came when all windows of some definition that would count it were final."""

from collections.abc import Sequence

import attrs

from realtime_pipeline.domain.analytics.missed import MissedWindows
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.record_document import record_document
from realtime_pipeline.domain.streams.records import Record


@attrs.frozen
class LateEvent:
    """A record whose event no window of some definitions counts, whole: it can be looked at, and published again.

    `missed` names these definitions, in order. `occurred_at_ms` is the event's time, `time_ms` that of its partition
    before it, by which it was judged: the largest time of the partition's events until then. It goes when the customer
    whose record it is is forgotten.
    """

    record: Record
    missed: tuple[MissedWindows, ...]
    occurred_at_ms: int
    time_ms: int
    customer_id: CustomerId | None = None

    @property
    def id(self) -> str:
        """Partition and position of its record, as `3-1417`."""
        return f"{self.record.partition}-{self.record.position}"

    def is_late_for(self, definition: str) -> bool:
        """Whether a definition of this name did not count it."""
        return any(missed.definition == definition for missed in self.missed)

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it: bytes that are UTF-8 as text, others in base64 under `…_base64`."""
        return {
            "id": self.id,
            "missed": {missed.definition: missed.windows for missed in self.missed},
            "occurred_at": utc_text(self.occurred_at_ms),
            "partition_time": utc_text(self.time_ms),
            "customer_id": self.customer_id,
            **record_document(self.record),
        }


def late_in_order(late_events: Sequence[LateEvent]) -> list[LateEvent]:
    """Late events by partition and position."""
    return sorted(late_events, key=lambda late: (late.record.partition, late.record.position))
