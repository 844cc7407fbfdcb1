"""Sign-ins: what a visitor's sign-in and a customer's forgetting must lead to, in messages to others."""

from collections.abc import Iterable, Sequence
from typing import Final

from harness.oracle.messages import ExpectedMessage, message_id
from harness.oracle.visitor_profile import MergeMessage, VisitorProfile
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass

MERGED_PROFILE: Final = "history"
"""The property in which the oracle keeps the profile that an event merges."""
JUDGED_BY: Final = "filter"
"""The property for the fingerprint of the filter by which the events of a merged profile were judged."""
APPENDED_AT_MS: Final = "appended_at_ms"
"""The property for the append time of a record whose event time is later."""
LATEST_MS: Final = "latest_ms"
"""The property for the latest time that an event may have when a customer is forgotten."""

KeyedEvent = tuple[SessionKey, Event]
"""An event, and the key that a session would have which this event begins."""

KEY_STRIDE: Final = 4096
"""A session's key is position × this + partition of the record that began it."""


def log_position(key: SessionKey) -> tuple[int, int]:
    """Partition and position of the record that gave a session its key."""
    return key % KEY_STRIDE, key // KEY_STRIDE


def merge_event(merged: MergeMessage) -> Event:
    """Write a merged profile as one more event of its customer: a sign-in that has the profile as a property."""
    return Event(
        merged.event_id,
        EventKind.CUSTOMER_SIGNED_IN,
        merged.customer_id,
        merged.occurred_at_ms,
        properties={MERGED_PROFILE: merged.profile, JUDGED_BY: merged.filter},
        forwarded=merged.signed_in,
    )


def merged_profile_in(event: Event) -> VisitorProfile | None:
    """The profile that an event merges; None for an ordinary event."""
    profile = event.properties.get(MERGED_PROFILE)
    return profile if isinstance(profile, VisitorProfile) else None


def with_profile(event: Event, profile: VisitorProfile) -> Event:
    """The same event, which merges another profile."""
    return event._replace(properties={**event.properties, MERGED_PROFILE: profile})


def newest_time_ms(event: Event) -> int:
    """The time of an event, or the newest time in the profile that it merges."""
    profile = merged_profile_in(event)
    return max(event.occurred_at_ms, (profile.last_seen_ms or 0) if profile is not None else 0)


def message_time_ms(event: Event) -> int:
    """The time of the message that an event leads to: the event's time, but at most its append time."""
    appended = event.properties.get(APPENDED_AT_MS)
    return min(event.occurred_at_ms, appended) if isinstance(appended, int) else event.occurred_at_ms


def sign_in_index(lifetime: Sequence[KeyedEvent]) -> int | None:
    """The index of the visitor's first sign-in; None where the visitor has not signed in."""
    return next((number for number, (_, event) in enumerate(lifetime) if event.identified_as is not None), None)


def with_forwarded(events: Sequence[KeyedEvent], classes: Sequence[RecordClass]) -> list[RecordClass]:
    """Change the class of a visitor's events between sign-in and forgetting: they are forwarded, not applied."""
    adjusted, is_signed_in = [], False
    for (_, event), class_ in zip(events, classes, strict=True):
        if class_ is RecordClass.APPLIED and event.kind is EventKind.CUSTOMER_FORGOTTEN:
            is_signed_in = False
        elif class_ is RecordClass.APPLIED and event.identified_as is not None:
            is_signed_in = True
        elif class_ is RecordClass.APPLIED and is_signed_in:
            class_ = RecordClass.FORWARDED  # noqa: PLW2901
        adjusted.append(class_)
    return adjusted


def alias_of(lifetime: Sequence[KeyedEvent]) -> CustomerId | None:
    """The customer that a visitor has signed in as last; None where the visitor has not signed in."""
    return next((event.identified_as for _, event in reversed(lifetime) if event.identified_as is not None), None)


def forget_messages(
    events: Sequence[KeyedEvent], classes: Sequence[RecordClass], forgettings_ms: Iterable[int], visitors_max: int
) -> list[ExpectedMessage]:
    """The messages by which visitors are forgotten together with the customer that they signed in as.

    A visitor is forgotten when the customer is, when the customer has more than `visitors_max` visitors, and when the
    visitor's profile arrives after the customer was forgotten.

    Args:
        events: all events of the customer, in log order.
        classes: the class of each event.
        forgettings_ms: the time of each of the customer's forgettings.
        visitors_max: how many visitors a customer has at most.
    """
    messages: list[ExpectedMessage] = []
    visitors: dict[CustomerId, None] = {}
    times_ms, as_of_ms = iter(forgettings_ms), 0
    for (_, event), class_ in zip(events, classes, strict=True):
        profile, forgotten = merged_profile_in(event), list[CustomerId]()
        if class_ is RecordClass.APPLIED and event.kind is EventKind.CUSTOMER_FORGOTTEN:
            as_of_ms = at_ms = next(times_ms)
            forgotten, visitors = list(visitors), {}
        elif class_ is RecordClass.APPLIED and profile is not None:
            at_ms = event.occurred_at_ms
            visitors.pop(profile.customer_id, None)
            visitors[profile.customer_id] = None
            forgotten = list(visitors)[:-visitors_max]
            visitors = dict.fromkeys(list(visitors)[-visitors_max:])
        elif class_ is RecordClass.FORGOTTEN and profile is not None:
            at_ms, forgotten = as_of_ms, [profile.customer_id]
        messages += (
            ExpectedMessage(visitor, message_id(visitor, event.event_id), forgotten_at_ms=at_ms)
            for visitor in forgotten
        )
    return messages
