"""Messages between customers, as records of the log: JSON like all others, so that people can read them."""

from base64 import b64decode, b64encode
from typing import Annotated, Final

import msgspec

from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import DIGEST_BYTES
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.shop.events import (
    ANONYMOUS,
    ID_LENGTH_MAX,
    CustomerId,
    EventKind,
    anonymous,
    country_code,
    customer_id_field,
    routing_key,
)
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.domain.shop.money import bounded
from realtime_pipeline.domain.shop.review import RATINGS
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import FromNewer, Record, Rejected
from realtime_pipeline.infrastructure.codecs.fields import find_owner
from realtime_pipeline.infrastructure.codecs.formats import MESSAGE
from realtime_pipeline.infrastructure.codecs.state import decode_customer, encode_customer
from realtime_pipeline.infrastructure.codecs.upcasters import Document
from realtime_pipeline.infrastructure.codecs.wire import LogPosition

PROFILE_MERGED: Final = "history_merged"
MESSAGE_FORMAT: Final = "message_format"
"""The field by which a worker's message says its format: by it, workers also know messages of types that are newer than
they are."""
_encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LENGTH_MAX)]
_COUNT_MAX: Final = 2**53
KIND_LENGTH_MAX: Final = 64
"""Characters of the name of a kind of event that this release does not know."""


class _ProfileDocument(msgspec.Struct):
    """A visitor's profile on its way: `history` is the profile as stores write it, in base 64; `signed_in` is the
    position of the sign-in in the log (partition, position), `filter` the fingerprint of the filter that judged it."""

    event_id: _Id
    user_id: _Id
    session_id: _Id
    timestamp: Annotated[int, msgspec.Meta(ge=0, lt=END_OF_TIME)]
    history: str
    signed_in: LogPosition | None = None
    filter: Annotated[str, msgspec.Meta(max_length=64)] = ""


def encode_message(message: Message) -> Outgoing:
    """Write a message under the key of its receiver."""
    key = routing_key(message.to).encode()
    if message.record is not None:
        return Outgoing(key, _forwarded(message, message.record), message.record.origin)
    document: dict[str, object] = {
        "event_type": EventKind.CUSTOMER_FORGOTTEN.value if message.profile is None else PROFILE_MERGED,
        "event_id": message.event_id,
        **customer_id_field(message.to),
        "timestamp": message.occurred_at_ms,
        MESSAGE_FORMAT: [MESSAGE.written, MESSAGE.read_by],
    }
    if message.profile is not None and message.visitor is not None:
        document |= customer_id_field(message.visitor)
        document["history"] = b64encode(encode_customer(message.profile)).decode()
        document["signed_in"] = message.signed_in
        if message.filter:
            document["filter"] = message.filter
    return Outgoing(key, _encode(document))


def _forwarded(message: Message, record: Record) -> bytes:
    """The visitor's event as it came, to the byte, with the customer's id, the event's id and time, and the position of
    the original. Written again, its numbers could take more room than an event may."""
    place = record.partition, record.position
    more = {
        "user_id": message.to,
        "event_id": message.event_id,
        "timestamp": message.occurred_at_ms,
        "forwarded": place,
    }
    return _encode(_parse(record.value) | more | {"forwarded": place})


def newer_message(document: Document) -> FromNewer | None:
    """See whether a document is a message of a newer release that this one must not pass over."""
    found = document.get(MESSAGE_FORMAT)
    if found is None:
        return None
    try:
        MESSAGE.check(found)
    except NewerRelease as newer:
        return FromNewer(str(newer))
    except Damaged:
        pass  # somebody's own field of that name
    return None


def decode_profile(document: Document) -> ProfileMerged | Rejected | FromNewer:
    """Read a visitor's profile. A profile that no events could have made is rejected, whoever wrote it; what a newer
    release wrote, and this one cannot read, waits for that release."""
    owner = find_owner(document, ("user_id",))
    try:
        read = msgspec.convert(document, _ProfileDocument)
        profile = decode_customer(b64decode(read.history, validate=True))
        _check(read, profile)
    except NewerRelease as newer:
        return FromNewer(str(newer))
    except (ValueError, Damaged) as error:
        refusal = MESSAGE.refused(error, document.get(MESSAGE_FORMAT))
        if isinstance(refusal, NewerRelease):
            return FromNewer(str(refusal))
        return Rejected(f"invalid_history: {error}"[:200], owner)
    visitor = anonymous(read.session_id)
    return ProfileMerged(
        read.event_id, CustomerId(read.user_id), visitor, read.timestamp, profile, read.signed_in, read.filter
    )


def _check(document: _ProfileDocument, profile: Customer) -> None:
    """See that ids and times are valid, and that numbers can grow.

    Raises:
        ValueError: one is not, or cannot.
    """
    ids = document.event_id, document.user_id, document.session_id
    if not all(map(is_printable_id, ids)) or document.user_id.startswith(ANONYMOUS):
        raise ValueError("its ids are not valid")
    visits, interests, purchases = profile.visits, profile.interests, profile.purchases
    sessions, orders = visits.open_sessions, purchases.orders.values()
    events = (*profile.aliases.contributions, *profile.aliases.excluded_contributions)
    shown = profile.exposures.shown
    products = {
        *(*interests.recent, *purchases.by_product, *shown),
        *(id_ for session in sessions for id_ in session.products),
        *(id_ for event in events for id_ in (event.product_id, *event.shown) if id_ is not None),
    }
    session_ids = [session.session_id for session in sessions if session.session_id is not None]
    order_ids = [*purchases.orders, *(event.order_id for event in events if event.order_id is not None)]
    named = (*products, *session_ids, *order_ids)
    if not all(0 < len(id_) <= ID_LENGTH_MAX and is_printable_id(id_) for id_ in named):
        raise ValueError("ids in its profile are not valid")
    if visits.country is not None and country_code(visits.country[0]) != visits.country[0]:
        raise ValueError("its country is not a code of two capitals")
    times = (
        *(at_ms for at_ms in (visits.first_seen_ms, visits.last_seen_ms) if at_ms is not None),
        *([] if visits.country is None else [visits.country[1]]),
        *(at_ms for _, at_ms in (*interests.affinity.values(), *shown.values())),
        *interests.recent.values(),
        *(last_ms for _, last_ms in purchases.by_product.values()),
        *(order.placed_at_ms for order in orders if order.placed_at_ms is not None),
        *(event.at_ms for event in events),
        *(at_ms for session in sessions for at_ms in (session.started_at_ms, session.last_at_ms)),
        *(at_ms for session in sessions for at_ms, _ in session.products.values()),
    )
    if not all(0 <= at_ms < END_OF_TIME for at_ms in times):
        raise ValueError("its times are out of range")
    sums = (  # what is refunded may be more than was bought
        *(purchases.units, *(order.units for order in orders)),
        *(units for units, _ in purchases.by_product.values()),
        *(event.quantity for event in events),
    )
    counts = (
        *(purchases.orders_placed, visits.sessions_begun, visits.excluded, *visits.counts.values()),
        *(times for times, _ in shown.values()),
        *(
            number
            for session in sessions
            for number in (session.events, *(weight for _, weight in session.products.values()))
        ),
    )
    amounts = (purchases.spend, *(order.amount for order in orders), *(event.amount for event in events))
    scores = (score for score, _ in interests.affinity.values())
    if (
        any(abs(units) > _COUNT_MAX for units in sums)
        or not all(0 <= count <= _COUNT_MAX for count in counts)
        or any(amount != bounded(amount) for amount in amounts)
        or not all(0 <= score <= _COUNT_MAX for score in scores)
    ):
        raise ValueError("its numbers are out of range")
    if len(profile.seen.merged_ids) % DIGEST_BYTES or any(len(event.digest) != DIGEST_BYTES for event in events):
        raise ValueError("its digests of event ids have another length")
    if any(event.rating not in (None, *RATINGS) for event in events):
        raise ValueError("its ratings are out of range")
    kinds = (*visits.counts, *(event.kind for event in events))
    if not all(0 < len(kind) <= KIND_LENGTH_MAX and kind.isprintable() for kind in kinds if not kind.is_known):
        raise ValueError("its kinds of events are not valid")
