"""A shop's catalogue: one product per line, in JSON."""

import html
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from harness.formats.rows import numbered
from harness.support.errors import HarnessError
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.shop.product import Product

_MOST_UNITS = 10**12


class _Entry(msgspec.Struct):
    product_id: str | int | None = None
    asin: str | None = None
    name: str | None = None
    title: str | None = None
    category: str | list[str] | None = None
    price: int | float | str | None = None
    in_stock: bool | None = None


_entry_of = msgspec.json.Decoder(_Entry).decode


def read_catalogue(path: Path) -> dict[ProductId, Product]:
    """Read a catalogue. Of several lines about a product, the last line counts.

    Raises:
        HarnessError: a line is not a product; the message names file and line.
    """
    products: dict[ProductId, Product] = {}
    for number, raw in numbered(path):
        if not raw.strip():
            continue
        try:
            product = _product(_entry_of(raw))
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise HarnessError(f"{path}:{number}: not a product: {error}") from error
        products[product.product_id] = product
    return products


def _product(entry: _Entry) -> Product:
    product_id = entry.asin if entry.product_id in (None, "") else str(entry.product_id)
    if not product_id:
        raise ValueError("it has neither product_id nor asin")
    category = entry.category
    if isinstance(category, list):
        category = category[-1] if category else None
    return Product(
        ProductId(product_id),
        name=_text(entry.name) or _text(entry.title),
        category=_text(category),
        price=_price(entry.price),
        in_stock=entry.in_stock,
    )


def _text(text: str | None) -> str | None:
    """Undo HTML escapes, which catalogues from web pages have."""
    return html.unescape(text or "").strip() or None


def _price(price: float | str | None) -> Amount | None:
    """Read a price; None where the text is no price: real catalogues have fragments of web pages here."""
    try:
        units = Decimal(str(price).strip().removeprefix("$").replace(",", ""))
    except InvalidOperation:
        return None
    return Amount(round(units * PER_UNIT)) if units.is_finite() and 0 <= units <= _MOST_UNITS else None
