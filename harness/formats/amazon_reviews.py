"""Amazon reviews of 2018: one JSON object per line."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.formats.rows import Options, Properties, ShopEvent, events, number, numbered
from harness.support.source_record import SourceRecord


class _Review(msgspec.Struct, rename="camel"):
    unix_review_time: int | float
    reviewer_id: str | None = msgspec.field(default=None, name="reviewerID")
    asin: str | None = None
    overall: object = None
    review_text: str | None = None


_review_of = msgspec.json.Decoder(_Review).decode


def read(path: Path, options: Options) -> Iterator[SourceRecord]:
    """Read reviews with rating and text."""
    rows = ((line_number, raw, raw) for line_number, raw in numbered(path))
    return events(path, options, rows, _event)


def _event(event_id: str, raw: bytes) -> ShopEvent:
    review = _review_of(raw)
    return ShopEvent(
        event_id=event_id,
        event_type="review",
        timestamp=round(review.unix_review_time * 1_000),
        user_id=review.reviewer_id or None,
        properties=Properties(
            product_id=review.asin or None,
            rating=_rating(review.overall),
            text=review.review_text or None,
        ),
    )


def _rating(overall: object) -> object:
    """Read 5.0 and "5.0" as 5; other values stay as they are, and the pipeline's decoder rejects them."""
    if isinstance(overall, float) and overall.is_integer():
        return int(overall)
    return number(overall) if isinstance(overall, str) else overall
