"""Which of a customer's events move the time of their partition, and which of these windows count."""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from harness.oracle.customer import CustomerHistory
from harness.oracle.exclusion import is_excluded
from harness.oracle.identity import KeyedEvent, merged_profile_in
from harness.oracle.windows import TimedEvent
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass


def timed_events(
    events: Sequence[KeyedEvent],
    history: CustomerHistory,
    originals: Mapping[SessionKey, TimedEvent],
    exclude: Exclusion,
) -> Iterator[tuple[SessionKey, TimedEvent]]:
    """Yield the events that move time, by their keys.

    An event that is forwarded counts where it lies, as an event of the customer; its copy, where that lies, does not.
    """
    alias: CustomerId | None = None
    for (key, event), class_ in zip(events, history.classes, strict=True):
        if event.kind is EventKind.CUSTOMER_FORGOTTEN:
            alias = None if class_ is RecordClass.APPLIED else alias
        if key not in originals or merged_profile_in(event) is not None or event.kind is EventKind.CUSTOMER_FORGOTTEN:
            continue
        found = originals[key]
        if class_ is RecordClass.FORWARDED or (class_ is RecordClass.APPLIED and event.identified_as is not None):
            alias = event.identified_as or alias
            is_counted = not (is_excluded(event, exclude) or alias in exclude.ids)
            yield key, attrs.evolve(found, event=found.event._replace(customer_id=alias), is_counted=is_counted)
        elif class_ is RecordClass.APPLIED:
            is_counted = key not in history.excluded and found.event.forwarded is None
            yield key, attrs.evolve(found, is_counted=is_counted)
