"""Late events in memory."""

from collections.abc import Collection, Iterator

from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.domain.streams.late_events import LateEvent

_ALL = 2**31


class MemoryLateEvents(LateEvents):
    """Reads the late events that outputs hold, of any technology."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs

    def late_events(self, partitions: Collection[int] | None = None) -> Iterator[LateEvent]:
        """Read late events, by partition and position."""
        for late in self._outputs.late_events(_ALL):
            if partitions is None or late.record.partition in partitions:
                yield late
