"""Whether the log has the messages that it must have, and no others."""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from harness.oracle.deduplication import digests_in
from harness.oracle.identity import JUDGED_BY, merged_profile_in
from harness.oracle.messages import ExpectedMessage
from harness.oracle.record_classes import ClassifiedRecords
from harness.oracle.visitor_profile import VisitorProfile
from harness.support.diff import diff
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, Event

MessageKey = tuple[CustomerId, str]
"""The customer that a message is for, and its event id."""


def messages_in_log(classified: ClassifiedRecords) -> dict[MessageKey, list[Event]]:
    """All events of the log by customer and id: an expected message must be among them."""
    messages: dict[MessageKey, list[Event]] = {}
    for customer_id, events in classified.by_customer.items():
        for _, event in events:
            messages.setdefault((customer_id, event.event_id), []).append(event)
    return messages


def missing_messages(
    expected: Iterable[ExpectedMessage],
    in_log: Mapping[MessageKey, list[Event]],
    message_times_ms: Mapping[MessageKey, list[int]],
    present_filter: str = "",
) -> Iterator[str]:
    """Yield a line for each message that the log lacks, has too often or with other content.

    A forwarded event must be in the log, a merged profile exactly once. Visitors must be forgotten at exactly the
    expected times.
    """
    forgettings: dict[MessageKey, list[int]] = {}
    for message in expected:
        key = message.to, message.event_id
        found = in_log.get(key, [])
        if message.forgotten_at_ms is not None:
            forgettings.setdefault(key, []).append(message.forgotten_at_ms)
        elif message.profile is None:
            if message.event not in found:
                yield f"event {message.event_id} was not forwarded to {message.to}, or with other content"
        elif len(found) != 1:
            yield f"profile {message.event_id} is {len(found)} times in the log"
        elif (times := message_times_ms[key]) != [message.signed_in_ms]:
            yield f"profile {message.event_id} in the log is as of {times}, should be as of {message.signed_in_ms}"
        elif found[0].properties[JUDGED_BY] != present_filter:
            continue  # it was sent under another filter
        elif (difference := _profile_difference(merged_profile_in(found[0]), message.profile)) is not None:
            yield f"profile {message.event_id}: {difference}"
    for visitor, event_id in in_log:
        if visitor.startswith(ANONYMOUS) and event_id.startswith(f"{visitor}/"):  # the form of a message's id
            forgettings.setdefault((visitor, event_id), [])
    for (visitor, event_id), wanted in forgettings.items():
        times = sorted(message_times_ms.get((visitor, event_id), ()))
        if times != sorted(wanted):
            yield f"forgettings {event_id} in the log are as of {times}, should be as of {sorted(wanted)}"


def _profile_difference(found: VisitorProfile | None, wanted: VisitorProfile) -> str | None:
    """Name the first field in which two profiles differ; None where they are equal."""
    if found is None:
        return "is another event"
    for field in attrs.fields(VisitorProfile):
        held, expected = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "seen":
            held, expected = set(digests_in(held.merged_ids)), set(digests_in(expected.merged_ids))
        if next(diff(field.name, held, expected), None) is not None:
            return f"{field.name} is {held}, should be {expected}"
    return None
