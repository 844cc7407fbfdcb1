"""Records of a source that could not become events, as the log has them: the dead letter keeps the record whole."""

from collections.abc import Mapping
from typing import Final

import msgspec

from realtime_pipeline.infrastructure.codecs.invalid import Invalid

NOT_AN_EVENT: Final = "not_an_event"
"""The field by which such a record says its reason."""
ENCODED_BYTES_MAX: Final = 950_000
"""A record whose JSON is longer is cut: it must fit a record of the log."""

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
        return fields if len(_encode(fields)) <= ENCODED_BYTES_MAX else _cut(str(fields))
    if len(value) <= ENCODED_BYTES_MAX and value.lstrip().startswith(b"{"):
        try:
            return msgspec.json.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # kept as text
    return _cut(value[:ENCODED_BYTES_MAX].decode("utf-8", "replace"))


def _cut(text: str) -> str:
    """Cut text so that its JSON is not too long; a character takes six bytes at most."""
    return text if len(_encode(text)) <= ENCODED_BYTES_MAX else text[: ENCODED_BYTES_MAX // 6]
