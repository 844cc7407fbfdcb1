"""A record as JSON takes it."""

from base64 import b64encode

from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.records import Record


def record_document(record: Record) -> dict[str, object]:
    """A record as JSON takes it: bytes that are UTF-8 as text, others in base64 under `…_base64`."""
    key, key_base64 = (None, None) if record.key is None else _as_text(record.key)
    value, value_base64 = _as_text(record.value)
    return {
        "partition": record.partition,
        "position": record.position,
        "origin": record.origin,
        "appended_at": utc_text(record.appended_at_ms),
        "key": key,
        "key_base64": key_base64,
        "value": value,
        "value_base64": value_base64,
    }


def _as_text(value: bytes) -> tuple[str | None, str | None]:
    """Bytes as text where they are UTF-8, else in base64."""
    try:
        return value.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(value).decode()
