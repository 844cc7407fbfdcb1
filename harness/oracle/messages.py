"""The messages that a worker must write into the log for other customers."""

from hashlib import blake2b
from typing import Final

import attrs

from harness.oracle.visitor_profile import VisitorProfile
from realtime_pipeline.domain.shop.events import CustomerId, Event

ID_LENGTH_MAX: Final = 128


@attrs.frozen
class ExpectedMessage:
    """A message to customer `to`: an `event` of a visitor; or a visitor's `profile` and the time of the sign-in; or the
    time as of which `to` is to be forgotten."""

    to: CustomerId
    event_id: str
    event: Event | None = None
    profile: VisitorProfile | None = None
    signed_in_ms: int = 0
    forgotten_at_ms: int | None = None


def message_id(visitor: CustomerId, because_of: str) -> str:
    """The id of a message about a visitor because of an event: both ids, with a slash between.

    An id with a second slash, or of more than 128 characters, is replaced by its digest; the length of the visitor's id
    tells apart two pairs that would be written alike.
    """
    name = f"{visitor}/{because_of}"
    if "/" in visitor:
        name = f"{len(visitor)} {name}"
    elif len(name) <= ID_LENGTH_MAX:
        return name
    return blake2b(name.encode(), digest_size=16).hexdigest()
