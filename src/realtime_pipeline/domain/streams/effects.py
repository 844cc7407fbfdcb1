"""What folding some records of one partition comes to: the value that every engine produces and tests assert on."""

from collections.abc import Mapping

import attrs

from realtime_pipeline.domain.open_enum import OpenStrEnum
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import Session, SessionKey
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.views.deltas import Deltas


class RecordClass(OpenStrEnum):
    """Every record read is in exactly one of these."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    FORGOTTEN = "forgotten"
    FORWARDED = "forwarded"
    DEAD_LETTER = "dead_letter"
    CONTROL = "control"


@attrs.frozen
class DeadLetter:
    """A record that could not be folded, whole, with the reason: it can be mended and published again.

    It goes when the customer whose it is is forgotten.
    """

    record: Record
    reason: str
    customer_id: CustomerId | None = None


@attrs.frozen
class Effects:
    """The outcome of a fold: changed customers and sessions, deltas for the views, outputs, a count per class.

    `tombstones` are the customers forgotten in this range, with the time: the store erases their records first;
    one who came back since is among `customers` again. A review of None is taken down. `messages` are for other
    customers, whose owners find them in the log. `ignored_types` counts ignored events by the name of their type.
    Earlier dead letters of `letters_forgotten` are taken back: of all whom a record of this range has forgotten, also
    where it is as of a time that is forgotten already.
    """

    customers: Mapping[CustomerId, Customer]
    sessions: Mapping[SessionKey, Session]
    sessions_dropped: frozenset[SessionKey]
    reviews: Mapping[tuple[CustomerId, ProductId], Review | None]
    tombstones: Mapping[CustomerId, int]
    deltas: Deltas
    dead_letters: tuple[DeadLetter, ...]
    counts: Mapping[RecordClass, int]
    messages: tuple[Message, ...] = ()
    ignored_types: Mapping[str, int] = attrs.Factory(dict)
    letters_forgotten: frozenset[CustomerId] = frozenset()
