"""Records of a source that could not become events, as the log has them: the dead letter keeps the record whole."""

from collections.abc import Mapping
from typing import Final

import msgspec

from realtime_pipeline.infrastructure.codecs.invalid import Invalid

NOT_AN_EVENT: Final = "not_an_event"
"""The field by which such a record says its reason."""
RAW_BYTES_MAX: Final = 600_000
"""A longer record is cut: it must fit a record of the log, also where each of its bytes is escaped."""

_REASON_LENGTH_MAX: Final = 300
_FORMAT: Final = 1
_encode: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


def encode_unmapped(
    reason: str, source: str, value: bytes | Mapping[str, object], customer: Mapping[str, object]
) -> bytes:
    """Encode a record that is no event.

    Args:
        reason: why; begins with its code.
        source: the name of the source or mapping.
        value: the record: its bytes, or its fields.
        customer: `user_id` and `session_id`, as far as they can be read, so that it is forgotten with the customer.
    """
    document: dict[str, object] = {NOT_AN_EVENT: reason[:_REASON_LENGTH_MAX], "source": source, "format": _FORMAT}
    document |= {name: customer[name] for name in ("user_id", "session_id") if customer.get(name) is not None}
    return _encode(document | {"record": _readable(value)})


def check_unmapped(document: Mapping[str, object]) -> None:
    """Refuse a record that is known to be no event.

    Raises:
        Invalid: it is one; the message is its reason.
    """
    reason = document.get(NOT_AN_EVENT)
    if isinstance(reason, str):
        raise Invalid(reason[:_REASON_LENGTH_MAX])


def _readable(value: bytes | Mapping[str, object]) -> object:
    if not isinstance(value, bytes):
        fields = dict(value)
        return fields if len(_encode(fields)) <= RAW_BYTES_MAX else str(fields)[: RAW_BYTES_MAX // 6]
    text = value[:RAW_BYTES_MAX].decode("utf-8", "replace")
    if len(value) <= RAW_BYTES_MAX and value.lstrip().startswith(b"{"):
        try:
            return msgspec.json.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # kept as text
    return text[: RAW_BYTES_MAX // 6] if len(_encode(text)) > RAW_BYTES_MAX else text
