"""What has to be said to others, and whether the log has it."""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from harness.oracle.judging import digests_in
from harness.oracle.sign_in import ExpectedMessage, history_in
from harness.oracle.sorting import Sorted
from harness.oracle.visitor_profile import VisitorProfile
from harness.support.diff import diff
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, Event


def messages_in_log(sorted_: Sorted) -> dict[tuple[CustomerId, str], list[Event]]:
    """By customer and id, what the log has of each event."""
    said: dict[tuple[CustomerId, str], list[Event]] = {}
    for customer_id, placed in sorted_.by_customer.items():
        for _, event in placed:
            said.setdefault((customer_id, event.event_id), []).append(event)
    return said


def missing_messages(
    handed: Iterable[ExpectedMessage],
    said: Mapping[tuple[CustomerId, str], list[Event]],
    written_ms: Mapping[tuple[CustomerId, str], list[int]],
) -> Iterator[str]:
    """What visitors hand on must be in the log, and a history once and as it was; so must their forgettings, and no
    others."""
    forgettings: dict[tuple[CustomerId, str], list[int]] = {}
    for one in handed:
        found = said.get((one.to, one.event_id), [])
        if one.forgotten_at_ms is not None:
            forgettings.setdefault((one.to, one.event_id), []).append(one.forgotten_at_ms)
        elif one.history is None:
            if one.event not in found:
                yield f"event {one.event_id} was not forwarded to {one.to}, or as another"
        elif len(found) != 1:
            yield f"history {one.event_id} is {len(found)} times in the log"
        elif (times := written_ms[one.to, one.event_id]) != [one.signed_in_ms]:
            yield f"history {one.event_id} in the log is as of {times}, should be as of {one.signed_in_ms}"
        elif (differing := _unlike_histories(history_in(found[0]), one.history)) is not None:
            yield f"history {one.event_id}: {differing}"
    for visitor, event_id in said:
        if visitor.startswith(ANONYMOUS) and event_id.startswith(f"{visitor}/"):  # as what is said of visitors is named
            forgettings.setdefault((visitor, event_id), [])
    for (visitor, event_id), wanted in forgettings.items():
        times = sorted(written_ms.get((visitor, event_id), ()))
        if times != sorted(wanted):
            yield f"forgettings {event_id} in the log are as of {times}, should be as of {sorted(wanted)}"


def _unlike_histories(found: VisitorProfile | None, wanted: VisitorProfile) -> str | None:
    """Name a field in which two histories differ."""
    if found is None:
        return "is another event"
    for field in attrs.fields(VisitorProfile):
        held, right = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "seen":
            held, right = set(digests_in(held.merged_ids)), set(digests_in(right.merged_ids))
        if next(diff(field.name, held, right), None) is not None:
            return f"{field.name} is {held}, should be {right}"
    return None
