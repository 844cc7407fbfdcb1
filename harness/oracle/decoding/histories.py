"""The record by which a worker hands a visitor's history to the customer they signed in as."""

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


def history_in(document: Fields) -> MergeMessage:
    """Read such a record: `history` is a customer in MessagePack, in base 64.

    Raises:
        RejectedRecord: a field is missing, or is no such value.
    """
    event_id, user_id, session_id = (_text_id(document, name) for name in ("event_id", "user_id", "session_id"))
    written = document.get("history")
    if event_id is None or user_id is None or session_id is None or not isinstance(written, str):
        raise RejectedRecord("invalid_history", "event_id, user_id, session_id and history are needed")
    try:
        history = _CUSTOMER.decode(base64.b64decode(written, validate=True))
    except (ValueError, msgspec.MsgspecError) as error:
        raise RejectedRecord("invalid_history", str(error)) from None
    if user_id.startswith(ANONYMOUS) or any(_implausible(history)):
        raise RejectedRecord("invalid_history", "no events could have come to this")
    return MergeMessage(
        event_id,
        CustomerId(user_id),
        CustomerId(ANONYMOUS + session_id),
        time_ms(document.get("timestamp")),
        history,
        place_in(document, "signed_in"),
    )


def _implausible(history: VisitorProfile) -> Iterator[bool]:
    """What is wrong with a history, if anything: ids, times, sums and counts that events cannot give."""
    sessions, orders, events = history.open_sessions, history.orders.values(), history.contributions
    ids = [*history.recent, *history.purchases, *history.shown, *history.orders]
    ids += [id_ for one in sessions for id_ in (*one.products, one.session_id) if id_ is not None]
    ids += [id_ for one in events for id_ in (one.product_id, one.order_id, *one.shown) if id_ is not None]
    yield any(not id_ or not is_id(id_) for id_ in ids)
    country, country_ms = history.country or ("DE", 0)
    yield not (isinstance(country, str) and re.fullmatch("[A-Z]{2}", country))
    times = [country_ms, *history.recent.values(), *(one.at_ms for one in events)]
    times += [at_ms for at_ms in (history.first_seen_ms, history.last_seen_ms) if at_ms is not None]
    times += [pair[1] for pairs in (history.affinity, history.shown, history.purchases) for pair in pairs.values()]
    times += [order.placed_at_ms for order in orders if order.placed_at_ms is not None]
    times += [at_ms for one in sessions for at_ms in (one.started_at_ms, one.last_at_ms)]
    times += [at_ms for one in sessions for at_ms, _ in one.products.values()]
    yield any(not 0 <= at_ms < END_MS for at_ms in times)
    units = [history.units, *(one.units for one in orders), *(held for held, _ in history.purchases.values())]
    yield any(abs(one) > EXACT_MAX for one in (*units, *(one.quantity for one in events)))
    amounts = [history.spend, *(one.amount for one in orders), *(one.amount for one in events)]
    yield any(abs(one) >= 2**63 for one in amounts)
    counts = [history.orders_placed, history.sessions_begun, *history.counts.values()]
    counts += [times for times, _ in history.shown.values()]
    counts += [number for one in sessions for number in (one.events, *(weight for _, weight in one.products.values()))]
    yield any(not 0 <= one <= EXACT_MAX for one in (*counts, *(score for score, _ in history.affinity.values())))
    yield len(history.seen.merged_ids) % 8 != 0 or any(len(one.digest) != 8 for one in events)
    yield any(one.rating is not None and not 1 <= one.rating <= 5 for one in events)


def _text_id(document: Fields, name: str) -> str | None:
    """An id as workers write them: as text."""
    value = document.get(name)
    return identifier(value, name) if isinstance(value, str) else None


def place_in(document: Fields, name: str) -> tuple[int, int] | None:
    """A place in the log, written [partition, position]; None where it is absent.

    Raises:
        RejectedRecord: it is another value.
    """
    match document.get(name):
        case None:
            return None
        case [partition, position] if type(partition) is type(position) is int and min(partition, position) >= 0:
            return partition, position
    raise RejectedRecord(f"invalid_{name}", f"{name} is [partition, position]")
