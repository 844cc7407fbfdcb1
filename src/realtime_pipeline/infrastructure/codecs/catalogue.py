"""Reading catalogue events: what a shop states of its products, whatever customers do with them."""

from collections.abc import Callable, Mapping
from typing import Final

from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.shop.facts import (
    CATEGORY,
    IMAGE_URL,
    IN_STOCK,
    NAME,
    NO,
    PRICE,
    REMOVED,
    STOCK,
    TEXT,
    TEXT_LENGTH_MAX,
    UNITS_MAX,
    YES,
)
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.domain.shop.money import Amount, line_total
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.codecs.event_builder import EventBuilder
from realtime_pipeline.infrastructure.codecs.fields import (
    describe,
    read_id,
    read_money,
    read_replayed,
    to_id,
    to_label,
    to_whole_number,
)
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from realtime_pipeline.infrastructure.codecs.spelling import check_spelling_of, normalise
from realtime_pipeline.infrastructure.codecs.times import read_time
from realtime_pipeline.infrastructure.codecs.upcasters import CONTENT_ID, FIELDS, Document, read_object

STATED: Final[Mapping[EventKind, tuple[str, ...]]] = {
    EventKind.PRODUCT_UPDATED: (NAME, CATEGORY, PRICE, STOCK, IN_STOCK, IMAGE_URL, TEXT),
    EventKind.STOCK_SET: (STOCK, IN_STOCK),
    EventKind.PRODUCT_REMOVED: (),
}
"""The facts that an event of each kind can state."""

_PRODUCT: Final = ("product_id", CONTENT_ID)
_AVAILABLE: Final = frozenset(
    (
        *("instock", "available", "true", "yes", "1", "preorder", "presale", "backorder", "madetoorder"),
        *("limitedavailability", "onlineonly", "instoreonly"),
    )
)
_UNAVAILABLE: Final = frozenset(("outofstock", "unavailable", "soldout", "false", "no", "0", "discontinued"))
"""What feeds of products write, without case, blanks and signs; what can be ordered is available."""
_SCHEMA: Final = "https://schema.org/", "http://schema.org/"
_EMPTY: Final = (None, "")


class CatalogueReader:
    """Makes events of the catalogue kinds; a field that is absent, null or empty states nothing."""

    def __init__(self, limits: EventLimits, build: EventBuilder, default_id: Callable[[int, int], str]) -> None:
        self._limits = limits
        self._build = build
        self._default_id = default_id

    def __call__(self, record: Record, kind: EventKind, document: Document) -> Event:
        """Read the event of a record.

        Raises:
            Invalid: it names no product or states nothing, or a field is invalid or misspelt.
        """
        fields = _present(document)
        event_id = to_id(read_id("event_id", document.get("event_id")))
        product_id = to_id(read_id("product_id", fields.get("product_id")))
        names = STATED[kind]
        absent = {name for name in ("product_id", *names) if name not in fields}
        absent |= {name for name in ("event_id", "timestamp", "replayed") if document.get(name) in _EMPTY}
        check_spelling_of([name for name in fields if name not in names and name not in _PRODUCT], absent)
        if product_id is None:
            raise Invalid("incomplete_product: it needs a product_id")
        if not all(id_ is None or is_printable_id(id_) for id_ in (event_id, product_id)):
            raise Invalid("invalid_id: ids are made of printable characters")
        facts = {name: self._fact(name, fields[name]) for name in names if name in fields}
        if kind is EventKind.STOCK_SET and not facts:
            raise Invalid("incomplete_stock: it needs stock, the number of units left, or in_stock")
        if kind is not EventKind.STOCK_SET:
            facts[REMOVED] = YES if kind is EventKind.PRODUCT_REMOVED else NO
        others = {name: value for name, value in fields.items() if name not in names and name not in _PRODUCT}
        return Event(
            event_id or self._default_id(record.partition, record.position),
            kind,
            None,
            read_time(document.get("timestamp")),
            product_id=ProductId(product_id),
            category=facts.get(CATEGORY),
            name=facts.get(NAME),
            price=Amount(int(facts[PRICE])) if PRICE in facts else None,
            replayed=read_replayed(document.get("replayed")),
            properties=self._build.check_bounds(others, "properties"),
            facts=facts,
        )

    def _fact(self, name: str, value: object) -> str:
        """Read a fact as text.

        Raises:
            Invalid: the value is none of this fact.
        """
        if name == PRICE:
            price = read_money(PRICE, value)
            if price > self._limits.amount_max:
                raise Invalid(f"invalid_price: {price:g} is more than {self._limits.amount_max}")
            return str(int(line_total(price)))
        if name == STOCK:
            units = to_whole_number(value)
            if units is None or abs(units) > UNITS_MAX:
                raise Invalid(f"invalid_stock: it must be a whole number of units up to {UNITS_MAX}")
            return str(units)
        if name == IN_STOCK:
            return _availability(value)
        text = to_label(value)
        if text is None:
            raise Invalid(f"invalid_{name}: it must be text, not {describe(value)}")
        if name == IMAGE_URL and len(text) > TEXT_LENGTH_MAX:
            raise Invalid(f"invalid_image_url: it has more than {TEXT_LENGTH_MAX} characters")
        return text[: self._limits.label_length_max if name in (NAME, CATEGORY) else TEXT_LENGTH_MAX]


def _present(document: Document) -> Document:
    """The properties that are present: of `properties`, else of `metadata`, else of the event itself.

    Raises:
        Invalid: `properties` or `metadata` is neither an object nor empty.
    """
    top_level = {name: value for name, value in document.items() if name not in FIELDS}
    found = {
        name: value
        for fields in (top_level, read_object(document, "metadata"), read_object(document, "properties"))
        for name, value in fields.items()
        if value not in _EMPTY
    }
    if "product_id" not in found and CONTENT_ID in found:
        found["product_id"] = found[CONTENT_ID]
    return found


def _availability(value: object) -> str:
    text = str(value) if isinstance(value, bool | int | str) else ""
    for prefix in _SCHEMA:
        text = text.removeprefix(prefix)
    stated = normalise(text)
    if stated in _AVAILABLE or stated in _UNAVAILABLE:
        return YES if stated in _AVAILABLE else NO
    raise Invalid("invalid_in_stock: it must be true or false, or a word such as in_stock, out_of_stock, preorder")
