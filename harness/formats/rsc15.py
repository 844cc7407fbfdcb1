"""RecSys Challenge 2015 (YooChoose), as prepared by session-rec: the clicks of anonymous sessions."""

from collections.abc import Iterator
from pathlib import Path

from harness.formats.rows import Options, Properties, ShopEvent, delimited, events
from harness.support.source_record import SourceRecord

_HEADER = ["SessionId", "ItemId", "Time"]


def read(path: Path, options: Options) -> Iterator[SourceRecord]:
    """Read clicks as views of visitors who have not signed in."""
    return events(path, options, delimited(path, _HEADER, "\t", quoted=False), _event)


def _event(event_id: str, fields: list[str]) -> ShopEvent:
    session_id, item_id, seconds = fields
    return ShopEvent(
        event_id=event_id,
        event_type="view",
        timestamp=round(float(seconds) * 1_000),
        session_id=session_id or None,
        properties=Properties(product_id=item_id or None),
    )
