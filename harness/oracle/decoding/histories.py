"""The record by which a worker hands a visitor's history to the customer they signed in as."""

import base64
from typing import Final

import msgspec

from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.fields import Fields
from harness.oracle.decoding.times import time_ms
from harness.oracle.decoding.values import identifier
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId
from realtime_pipeline.domain.shop.sign_in import HistoryMerged

_CUSTOMER: Final = msgspec.msgpack.Decoder(Customer)


def history_in(document: Fields) -> HistoryMerged:
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
    return HistoryMerged(
        event_id,
        CustomerId(user_id),
        CustomerId(ANONYMOUS + session_id),
        time_ms(document.get("timestamp")),
        history,
        place_in(document, "signed_in"),
    )


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
