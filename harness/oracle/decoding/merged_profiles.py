"""The record by which a worker moves a visitor's profile to the customer that they signed in as."""

import base64
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.fields import Fields
from harness.oracle.decoding.times import END_MS, time_ms
from harness.oracle.decoding.values import identifier, is_id
from harness.oracle.visitor_profile import MergeMessage, VisitorProfile
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId

EXACT_MAX: Final = 2**53
_CUSTOMER: Final = msgspec.msgpack.Decoder(VisitorProfile)


def read_merged_profile(document: Fields) -> MergeMessage:
    """Read such a record; its field `history` has the profile in MessagePack, in base 64.

    Raises:
        RejectedRecord: a field is missing or invalid.
    """
    event_id, user_id, session_id = (_text_id(document, name) for name in ("event_id", "user_id", "session_id"))
    written = document.get("history")
    if event_id is None or user_id is None or session_id is None or not isinstance(written, str):
        raise RejectedRecord("invalid_history", "event_id, user_id, session_id and history are needed")
    try:
        profile = _CUSTOMER.decode(base64.b64decode(written, validate=True))
    except (ValueError, msgspec.MsgspecError) as error:
        raise RejectedRecord("invalid_history", str(error)) from None
    if user_id.startswith(ANONYMOUS) or any(_contradictions(profile)):
        raise RejectedRecord("invalid_history", "events cannot lead to such a profile")
    return MergeMessage(
        event_id,
        CustomerId(user_id),
        CustomerId(ANONYMOUS + session_id),
        time_ms(document.get("timestamp")),
        profile,
        log_position_in(document, "signed_in"),
        _filter_in(document),
    )


def _contradictions(profile: VisitorProfile) -> Iterator[bool]:
    """Check ids, country, times, sums, counts, digests and ratings: yield True for each that events cannot lead to."""
    sessions, orders = profile.open_sessions, profile.orders.values()
    events = profile.contributions + profile.excluded_contributions
    ids = [*profile.recent, *profile.purchases, *profile.shown, *profile.orders]
    ids += [id_ for session in sessions for id_ in (*session.products, session.session_id) if id_ is not None]
    ids += [id_ for event in events for id_ in (event.product_id, event.order_id, *event.shown) if id_ is not None]
    yield any(not id_ or not is_id(id_) for id_ in ids)
    country, country_ms = profile.country or ("DE", 0)
    yield not (isinstance(country, str) and re.fullmatch("[A-Z]{2}", country))
    times = [country_ms, *profile.recent.values(), *(event.at_ms for event in events)]
    times += [at_ms for at_ms in (profile.first_seen_ms, profile.last_seen_ms) if at_ms is not None]
    times += [pair[1] for pairs in (profile.affinity, profile.shown, profile.purchases) for pair in pairs.values()]
    times += [order.placed_at_ms for order in orders if order.placed_at_ms is not None]
    times += [at_ms for session in sessions for at_ms in (session.started_at_ms, session.last_at_ms)]
    times += [at_ms for session in sessions for at_ms, _ in session.products.values()]
    yield any(not 0 <= at_ms < END_MS for at_ms in times)
    units = [profile.units, *(order.units for order in orders), *(bought for bought, _ in profile.purchases.values())]
    yield any(abs(number) > EXACT_MAX for number in (*units, *(event.quantity for event in events)))
    amounts = [profile.spend, *(order.amount for order in orders), *(event.amount for event in events)]
    yield any(abs(amount) >= 2**63 for amount in amounts)
    counts = [profile.orders_placed, profile.sessions_begun, profile.excluded, *profile.counts.values()]
    counts += [times for times, _ in profile.shown.values()]
    for session in sessions:
        counts += [session.events, *(weight for _, weight in session.products.values())]
    scores = [score for score, _ in profile.affinity.values()]
    yield any(not 0 <= number <= EXACT_MAX for number in (*counts, *scores))
    yield len(profile.seen.merged_ids) % 8 != 0 or any(len(event.digest) != 8 for event in events)
    yield any(event.rating is not None and not 1 <= event.rating <= 5 for event in events)


def _filter_in(document: Fields) -> str:
    value = document.get("filter", "")
    if not isinstance(value, str) or len(value) > 64:
        raise RejectedRecord("invalid_history", "filter is a short text")
    return value


def _text_id(document: Fields, name: str) -> str | None:
    """An id as workers write it: as text."""
    value = document.get(name)
    return identifier(value, name) if isinstance(value, str) else None


def log_position_in(document: Fields, name: str) -> tuple[int, int] | None:
    """A position in the log, written [partition, position]; None where the field is absent.

    Raises:
        RejectedRecord: the field has another value.
    """
    match document.get(name):
        case None:
            return None
        case [partition, position] if type(partition) is type(position) is int and min(partition, position) >= 0:
            return partition, position
    raise RejectedRecord(f"invalid_{name}", f"{name} is [partition, position]")
