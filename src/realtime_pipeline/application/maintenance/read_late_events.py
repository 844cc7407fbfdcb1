"""ReadLateEvents: the events that no window of some definition counts, since they came too late."""

from collections.abc import Collection, Sequence
from itertools import islice

from realtime_pipeline.application.errors import UnknownLateEvent, UnknownWindow
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.domain.streams.dead_letters import place_in
from realtime_pipeline.domain.streams.late_events import LateEvent


class ReadLateEvents:
    """Reads late events. `defined` are the names of the definitions in the settings."""

    def __init__(self, late_events: LateEvents, defined: Collection[str]) -> None:
        self._late_events = late_events
        self._defined = defined

    def __call__(self, limit: int, definition: str | None = None) -> Sequence[LateEvent]:
        """Read the first late events, in the order in which they are stored.

        Args:
            limit: how many at most.
            definition: only those that are late for the definition of this name; it may have left the settings since.

        Raises:
            UnknownWindow: the settings have no such definition, and no late event names it.
        """
        stored = self._late_events.late_events()
        late_events = [*islice((late for late in stored if definition is None or late.is_late_for(definition)), limit)]
        if not late_events and definition is not None and definition not in self._defined:
            known = ", ".join(sorted(self._defined)) or "none is defined: see analytics.windows in the settings"
            raise UnknownWindow(f'there is no window "{definition}"; there are: {known}')
        return late_events

    def find(self, late_event_id: str) -> LateEvent:
        """Read a late event by its id; the newest, if the id has several since the log's topic was made again.

        Raises:
            UnknownLateEvent: no late event has that id.
        """
        place = place_in(late_event_id)
        if place is None:
            raise UnknownLateEvent(
                f"{ascii(late_event_id)[:200]} is no id of a late event: an id is partition-position, as 3-1417"
            )
        found = [late for late in self._late_events.late_events({place[0]}) if late.record[:2] == place]
        if not found:
            raise UnknownLateEvent(
                f"there is no late event {late_event_id}: the id is wrong, its customer was erased, or its retention "
                "has ended (late-events list shows those there are)"
            )
        return max(found, key=lambda late: late.record.appended_at_ms)
