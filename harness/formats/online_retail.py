"""UCI Online Retail: the invoice lines of a wholesaler, with cancellations and stock corrections."""

from collections.abc import Iterator
from pathlib import Path

from harness.formats.rows import Options, Properties, ShopEvent, delimited, events, number, title_cased, utc_ms
from harness.support.source_record import SourceRecord

_HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


def read(path: Path, options: Options) -> Iterator[SourceRecord]:
    """Read invoice lines as purchases, cancellations and stock adjustments."""
    return events(path, options, delimited(path, _HEADER), _event)


def _event(event_id: str, fields: list[str]) -> ShopEvent:
    invoice, stock_code, description, quantity_text, date, price, customer, country = fields
    event_type, quantity = _movement(invoice, number(quantity_text))
    return ShopEvent(
        event_id=event_id,
        event_type=event_type,
        timestamp=utc_ms(date),
        # A row without a customer is a visitor; the invoice is the session id.
        user_id=customer.removesuffix(".0") or None,
        session_id=invoice or None,
        properties=Properties(
            product_id=stock_code or None,
            name=title_cased(description) or None,
            price=number(price) if price else None,
            quantity=quantity,
            order_id=invoice or None,
        ),
        context={"country": country} if country else None,
    )


def _movement(invoice: str, quantity: float | str) -> tuple[str, float | str]:
    if invoice.startswith("C"):
        return "cancellation", quantity if isinstance(quantity, str) else abs(quantity)
    if not isinstance(quantity, str) and quantity < 0:
        return "stock_adjustment", quantity
    return "purchase", quantity
