"""RetailRocket: the views of visitors, divided into sessions."""

from collections.abc import Iterator
from pathlib import Path

from harness.formats.rows import Options, Properties, ShopEvent, delimited, events
from harness.support.source_record import SourceRecord

_HEADER = ["timestamp", "user_id", "item_id", "session_id"]


def read(path: Path, options: Options) -> Iterator[SourceRecord]:
    """Read views; times are whole seconds."""
    return events(path, options, delimited(path, _HEADER, "\t", quoted=False), _event)


def _event(event_id: str, fields: list[str]) -> ShopEvent:
    seconds, user_id, item_id, session_id = fields
    return ShopEvent(
        event_id=event_id,
        event_type="view",
        timestamp=int(seconds) * 1_000,
        user_id=user_id or None,
        session_id=session_id or None,
        properties=Properties(product_id=item_id or None),
    )
