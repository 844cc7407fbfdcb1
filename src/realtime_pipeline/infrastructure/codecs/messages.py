"""Messages between customers, as records of the log: JSON like all others, so that people can read them."""

from base64 import b64decode, b64encode
from typing import Annotated, Final

import msgspec

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, anonymous, naming, routing_key
from realtime_pipeline.domain.shop.sign_in import HistoryMerged
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Record, Rejected
from realtime_pipeline.infrastructure.codecs.state import decode_customer, encode_customer
from realtime_pipeline.infrastructure.codecs.upcasters import Document

HISTORY_MERGED: Final = "history_merged"
_encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder().decode
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _History(msgspec.Struct):
    """A visitor's history on its way; `history` is a customer as stores write one, in base 64."""

    event_id: _Text
    user_id: _Text
    session_id: _Text
    timestamp: Annotated[int, msgspec.Meta(ge=0)]
    history: str


def encode_message(message: Message) -> Outgoing:
    """Write a message under the key of whom it is for."""
    key = routing_key(message.to).encode()
    if message.record is not None:
        return Outgoing(key, _forwarded(message, message.record), message.record.origin)
    document: dict[str, object] = {
        "event_type": EventKind.CUSTOMER_FORGOTTEN.value if message.history is None else HISTORY_MERGED,
        "event_id": message.event_id,
        **naming(message.to),
        "timestamp": message.occurred_at_ms,
    }
    if message.history is not None and message.visitor is not None:
        document |= naming(message.visitor)
        document["history"] = b64encode(encode_customer(message.history)).decode()
    return Outgoing(key, _encode(document))


def _forwarded(message: Message, record: Record) -> bytes:
    """The visitor's event as it came, now with whose it is, and with the id by which it is known."""
    return _encode(_parse(record.value) | {"user_id": message.to, "event_id": message.event_id})


def decode_history(document: Document) -> HistoryMerged | Rejected:
    """Read a visitor's history."""
    try:
        said = msgspec.convert(document, _History)
        history = decode_customer(b64decode(said.history, validate=True))
    except ValueError as error:
        return Rejected(f"invalid_history: {error}"[:200])
    visitor = anonymous(said.session_id)
    return HistoryMerged(said.event_id, CustomerId(said.user_id), visitor, said.timestamp, history)
