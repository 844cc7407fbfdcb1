"""What one customer's fold has to say to another's. Once it is published, it is a record of the log as any other."""

from hashlib import blake2b

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX, CustomerId
from realtime_pipeline.domain.streams.records import Record


def message_id(visitor: CustomerId, because_of: str) -> str:
    """Name what is said of a visitor because of an event; by a digest, where it would be longer than an id may be, or
    could be another's name too."""
    name = f"{visitor}/{because_of}"
    if "/" not in visitor and len(name) <= ID_LENGTH_MAX:
        return name
    return blake2b(f"{len(visitor)} {name}".encode() if "/" in visitor else name.encode(), digest_size=16).hexdigest()


@attrs.frozen
class Message:
    """One of three: an event of a visitor that is to be the customer's, in `record`; what a visitor had done when they
    signed in, in `history`; or, with neither, that `to` is to be forgotten.

    Its id follows from what it is made of, so that the same message is known as such. `signed_in` is the place in the
    log (partition, position) of the sign-in that a history comes of.
    """

    to: CustomerId
    event_id: str
    occurred_at_ms: int
    visitor: CustomerId | None = None
    record: Record | None = None
    profile: Customer | None = None
    signed_in: tuple[int, int] | None = None
