"""Dead letters as lines of an export, to be repaired; and events to publish to the log again."""

from typing import Final

import msgspec

from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.dead_letters import Letter, Repair
from realtime_pipeline.infrastructure.codecs.fields import read_id
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.nesting import check_depth

_parse_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
_TRUE: Final = msgspec.Raw(b"true")
_NULL: Final = msgspec.Raw(b"null")


class _ExportLine(msgspec.Struct):
    """The fields of an export's line that are read back; the other fields only help to repair the event."""

    id: str
    event: msgspec.Raw = _NULL
    appended_at: str | None = None


def encode_letter(letter: Letter) -> bytes:
    """Encode a letter as a line of an export: id, reason, origin, and the record's JSON object as `event`.

    The numbers of the object stay as they were written. If the record is not a JSON object, `event` is null, and
    `value` or `value_base64` holds its bytes.
    """
    document = letter.as_dict()
    value, value_base64 = document["value"], document["value_base64"]
    line: dict[str, object] = {
        "id": letter.id,
        "reason": letter.reason,
        "customer_id": letter.customer_id,
        "origin": letter.record.origin,
        "appended_at": utc_text(letter.record.appended_at_ms),
    }
    if _is_object(letter.record.value):
        line["event"] = msgspec.Raw(letter.record.value.replace(b"\n", b" ").replace(b"\r", b" "))
    else:
        line |= {"event": None, "value": value, "value_base64": value_base64}
    return _encode(line)


def decode_repair(line: bytes) -> Repair:
    """Decode a repaired line of an export.

    Raises:
        ValueError: it is not a line of an export.
    """
    try:
        found = msgspec.json.decode(line, type=_ExportLine)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a line of an export ({error})") from None
    return Repair(found.id, None if found.event == _NULL else bytes(found.event), found.appended_at)


def encode_replay(value: bytes, event_id: str) -> bytes:
    """Encode an event to publish it again: set its event id and `replayed`; all else stays as it was."""
    return _encode(_parse_fields(value) | {"event_id": event_id, "replayed": _TRUE})


def find_event_id(value: bytes) -> str | None:
    """Return the event id in a record's value, valid event or not; None if there is no id that can be read."""
    try:
        check_depth(value)
        document = msgspec.json.decode(value)
        found = read_id("event_id", document.get("event_id")) if isinstance(document, dict) else None
    except (Invalid, ValueError, RecursionError):
        return None
    return found if found and is_printable_id(found) else None


def _is_object(value: bytes) -> bool:
    try:
        check_depth(value)
        return isinstance(msgspec.json.decode(value), dict)
    except (Invalid, ValueError, RecursionError):
        return False
