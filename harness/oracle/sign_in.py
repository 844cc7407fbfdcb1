"""What a visitor who signs in hands on, and what becomes of them, as the oracle sees it."""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from harness.oracle.naming import message_id
from harness.oracle.visitor_profile import MergeMessage, VisitorProfile
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind
from realtime_pipeline.domain.streams.effects import RecordClass

HISTORY: Final = "history"
APPENDED: Final = "appended_at_ms"
"""When the record of an event was appended that happens later by its own clock."""
LATEST: Final = "latest_ms"
"""The latest time that an event may have when a forgetting is done."""

Placed = tuple[SessionKey, Event]
"""An event, and the key of the session that its place in the log would give."""

KEY_STRIDE: Final = 4096
"""A session's key is position × this + partition of the record that began it."""


def place_of(key: SessionKey) -> tuple[int, int]:
    """Partition and position of the record that gave a key."""
    return key % KEY_STRIDE, key // KEY_STRIDE


@attrs.frozen
class ExpectedMessage:
    """What has to be said to another, by which id: an `event` of a visitor; or their `history` and when they signed in;
    or as of when they are to be forgotten."""

    to: CustomerId
    event_id: str
    event: Event | None = None
    history: VisitorProfile | None = None
    signed_in_ms: int = 0
    forgotten_at_ms: int | None = None


def as_event(merged: MergeMessage) -> Event:
    """A history as one more event of its customer: a sign-in that says what had been done before."""
    return Event(
        merged.event_id,
        EventKind.CUSTOMER_SIGNED_IN,
        merged.customer_id,
        merged.occurred_at_ms,
        properties={HISTORY: merged.profile},
        forwarded=merged.signed_in,
    )


def history_in(event: Event) -> VisitorProfile | None:
    """The history that such an event brings."""
    found = event.properties.get(HISTORY)
    return found if isinstance(found, VisitorProfile) else None


def latest_ms(event: Event) -> int:
    """The newest time that an event speaks of."""
    history = history_in(event)
    return max(event.occurred_at_ms, (history.last_seen_ms or 0) if history is not None else 0)


def sent_ms(event: Event) -> int:
    """As of when an event's message to a customer is: at most when the event was appended."""
    appended = event.properties.get(APPENDED)
    return min(event.occurred_at_ms, appended) if isinstance(appended, int) else event.occurred_at_ms


def signed_in_at(life: Sequence[Placed]) -> int | None:
    """Which event of a life is the visitor's sign-in."""
    return next((number for number, (_, event) in enumerate(life) if event.identified_as is not None), None)


def reclassed(placed: Sequence[Placed], classes: Sequence[RecordClass]) -> list[RecordClass]:
    """What comes of a visitor between sign-in and forgetting is handed on."""
    found, is_signed_in = [], False
    for (_, event), class_ in zip(placed, classes, strict=True):
        if class_ is RecordClass.APPLIED and event.kind is EventKind.CUSTOMER_FORGOTTEN:
            is_signed_in = False
        elif class_ is RecordClass.APPLIED and event.identified_as is not None:
            is_signed_in = True
        elif class_ is RecordClass.APPLIED and is_signed_in:
            class_ = RecordClass.FORWARDED  # noqa: PLW2901
        found.append(class_)
    return found


def forwards_to(life: Sequence[Placed]) -> CustomerId | None:
    """Whom a visitor's events go to at the end of a life."""
    return next((event.identified_as for _, event in reversed(life) if event.identified_as is not None), None)


def forgettings_handed(
    placed: Sequence[Placed], classes: Sequence[RecordClass], forgettings_ms: Iterable[int], visitors_max: int
) -> list[ExpectedMessage]:
    """What has to be said of visitors who are to be forgotten with the customer they turned out to be.

    That is when the customer is, when there are too many of them, or when they sign in as somebody who was forgotten
    meanwhile. `forgettings_ms` says as of when the customer was, each time.
    """
    found: list[ExpectedMessage] = []
    visitors: dict[CustomerId, None] = {}
    times_ms, as_of_ms = iter(forgettings_ms), 0
    for (_, event), class_ in zip(placed, classes, strict=True):
        history, gone = history_in(event), list[CustomerId]()
        if class_ is RecordClass.APPLIED and event.kind is EventKind.CUSTOMER_FORGOTTEN:
            as_of_ms = at_ms = next(times_ms)
            gone, visitors = list(visitors), {}
        elif class_ is RecordClass.APPLIED and history is not None:
            at_ms = event.occurred_at_ms
            visitors.pop(history.customer_id, None)
            visitors[history.customer_id] = None
            gone = list(visitors)[:-visitors_max]
            visitors = dict.fromkeys(list(visitors)[-visitors_max:])
        elif class_ is RecordClass.FORGOTTEN and history is not None:
            at_ms, gone = as_of_ms, [history.customer_id]
        found += (ExpectedMessage(one, message_id(one, event.event_id), forgotten_at_ms=at_ms) for one in gone)
    return found
