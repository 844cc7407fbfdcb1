"""REES46: views, carts and purchases of a multi-category store."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from harness.formats.rows import Options, Properties, ShopEvent, delimited, events, number, title_cased, utc_ms
from harness.support.source_record import SourceRecord

_HEADER = [
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
]


def read(path: Path, options: Options) -> Iterator[SourceRecord]:
    """Read views, carts and purchases, one product each."""
    return events(path, options, delimited(path, _HEADER), _event)


def _event(event_id: str, fields: list[str]) -> ShopEvent:
    time, event_type, product_id, category_id, category_code, brand, price, user_id, session_id = fields
    return ShopEvent(
        event_id=event_id,
        event_type=event_type,
        timestamp=utc_ms(time.removesuffix(" UTC")),
        user_id=user_id or None,
        session_id=session_id or None,
        properties=Properties(
            product_id=product_id or None,
            name=_name(brand, category_code, product_id),
            category=category_code or category_id or None,
            brand=brand or None,
            price=number(price) if price else None,
            quantity=1,
        ),
    )


@lru_cache(maxsize=65_536)
def _name(brand: str, category_code: str, product_id: str) -> str | None:
    """Make a readable name from brand and category: the data has no names."""
    thing = category_code.rpartition(".")[2].replace("_", " ")
    words = f"{brand} {thing}".split()
    if not words:
        return None
    # Words of two letters are abbreviations: LG, HP, TV.
    return " ".join([word.upper() if len(word) <= 2 else title_cased(word) for word in words] + [product_id])
