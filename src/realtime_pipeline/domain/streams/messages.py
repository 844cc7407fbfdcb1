"""Messages from one customer's fold to another's. A message that is published is a record of the log like any other."""

from hashlib import blake2b

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX, CustomerId
from realtime_pipeline.domain.streams.records import Record


def message_id(visitor: CustomerId, because_of: str) -> str:
    """Make the id of a message about a visitor, because of an event; a digest, where the plain id would be too long, or
    could be another message's too."""
    name = f"{visitor}/{because_of}"
    if "/" not in visitor and len(name) <= ID_LENGTH_MAX:
        return name
    return blake2b(f"{len(visitor)} {name}".encode() if "/" in visitor else name.encode(), digest_size=16).hexdigest()


@attrs.frozen
class Message:
    """One of three: an event of a visitor that is to be the customer's, in `record`; what a visitor had done when they
    signed in, in `profile`; or, with neither, that `to` is to be forgotten.

    Its id follows from its cause, so that a message that is sent again is known as the same. `signed_in` is the
    position of the sign-in in the log (partition, position) that the profile comes from, `filter` the fingerprint of
    the filter by which its events were judged.
    """

    to: CustomerId
    event_id: str
    occurred_at_ms: int
    visitor: CustomerId | None = None
    record: Record | None = None
    profile: Customer | None = None
    signed_in: tuple[int, int] | None = None
    filter: str = ""
