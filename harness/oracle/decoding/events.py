"""Decodes a record of the log into an event, as docs/events.md defines it."""

import json
from typing import Final

from harness.oracle.decoding.catalogue import USED as CATALOGUE_PROPERTIES
from harness.oracle.decoding.catalogue import catalogue_event
from harness.oracle.decoding.documents import depth_of, parse_document
from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.fields import (
    Fields,
    Properties,
    check_spelling,
    context_of,
    is_replayed,
    properties_of,
    unknown_fields,
)
from harness.oracle.decoding.merged_profiles import log_position_in, read_merged_profile
from harness.oracle.decoding.schema import (
    FIELDS,
    FORGOTTEN,
    PROFILE_TYPE,
    PURCHASED,
    RECORD_FIELDS,
    REFUNDED,
    REVIEWED,
    SHOWN,
    SIGNED_IN,
    USED_PROPERTIES,
    EventSchema,
)
from harness.oracle.decoding.times import time_ms
from harness.oracle.decoding.values import (
    identifier,
    label,
    money,
    ten_thousandths,
    ten_thousandths_of_each,
    whole_number,
)
from harness.oracle.visitor_profile import OracleDecoded
from realtime_pipeline.domain.shop.events import ANONYMOUS, NOTHING, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.streams.records import Ignored, Record, Rejected, Tick, WatermarkTick

WATERMARK_TICK_KEY: Final = b"\0tick"
TICK_KEY: Final = b"\0tick2"
LAST_MS: Final = 253_402_300_800_000
LOG_NAME: Final = "user_events"
"""The prefix of ids that are given to events without an id."""
USER_BYTES: Final = 2_048
"""How many bytes larger a record with a `user_id` may be."""
PRODUCTS_MAX: Final = 100
RATING_MAX: Final = 5
TICK_DIGITS_MAX: Final = 19
_IDS_ONLY: Final = (SIGNED_IN, FORGOTTEN)
"""Kinds of which only the ids and the time are read."""


class OracleDecoder:
    """Decodes records: `decoder(record)` never raises an error."""

    def __init__(self, schema: EventSchema) -> None:
        self._limits = schema.limits
        self._refused_user_ids = frozenset(schema.limits.refused_user_ids)
        self._kinds = schema.kinds()

    def __call__(self, record: Record) -> OracleDecoded:
        """Decode a record; a record that cannot be decoded gives a `Rejected` with the reason."""
        if record.key == WATERMARK_TICK_KEY:
            return _watermark_tick(record.value)
        if record.key == TICK_KEY:
            return _tick(record.value)
        document: Fields = {}
        try:
            document = parse_document(record.value)
            if document.get("event_type") != PROFILE_TYPE:  # a profile may be larger
                self._check_size(len(record.value), 0 if document.get("user_id") in (None, "") else USER_BYTES)
            return self._decoded(document, record)
        except RejectedRecord as rejected:
            return Rejected(str(rejected), self._customer_of_rejected(document))

    def _check_size(self, size: int, more: int) -> None:
        if size > self._limits.record_bytes_max + more:
            raise RejectedRecord("too_large", f"{size:,} bytes")

    def _decoded(self, document: Fields, record: Record) -> OracleDecoded:
        type_ = _type_of(document)
        if type_ is None and isinstance(document.get("not_an_event"), str):
            raise RejectedRecord("unmapped", "no mapping could make an event of it")
        if not isinstance(type_, str):
            raise RejectedRecord("invalid_event_type", "event_type is text")
        if type_ == PROFILE_TYPE:
            return read_merged_profile(document)
        kind = self._kinds.get(type_)
        if kind is None:
            return Ignored(type_)
        if kind in CATALOGUE_PROPERTIES:
            default_id = f"{LOG_NAME}-{record.partition}-{record.position}"
            return catalogue_event(kind, document, self._limits, default_id)
        read = self._event if kind in USED_PROPERTIES else self._custom_event
        return read(kind, document, record)

    def _event(self, kind: EventKind, document: Fields, record: Record) -> Event:
        limits = self._limits
        ids_only = kind in _IDS_ONLY
        properties = Properties() if ids_only else properties_of(document)
        user_id = self._user_id(document)
        session_id = self._session_id(kind, document, user_id)
        event_id = identifier(document.get("event_id"), "event_id")
        used = USED_PROPERTIES[kind]
        fields = {name: value for name in used if (value := properties.get(name)) is not None}
        if unknown := unknown_fields(document, properties):
            ids = {"event_id": event_id, "user_id": user_id, "session_id": session_id}
            check_spelling(unknown, _absent_fields(kind, document, ids | fields))
        customer_id = _customer(user_id, session_id)
        product_id = identifier(fields.get("product_id"), "product_id")
        event = Event(
            event_id or f"{LOG_NAME}-{record.partition}-{record.position}",
            kind,
            customer_id,
            time_ms(document.get("timestamp")),
            None if kind is FORGOTTEN else session_id,  # a forgetting names its customer only
            None if product_id is None else ProductId(product_id),
            label(fields.get("category"), limits.label_length_max),
            label(fields.get("name"), limits.label_length_max),
            replayed=is_replayed(document),
            forwarded=None if ids_only else log_position_in(document, "forwarded"),
        )
        if not ids_only:
            others, context = properties.others(), context_of(document)
            self._check_limits("properties", others)
            self._check_limits("context", context)
            event = event._replace(properties=others or NOTHING, context=context or NOTHING)
        return _check_complete(self._with_fields_of_kind(event, fields), user_id)

    def _custom_event(self, kind: EventKind, document: Fields, record: Record) -> Event:
        """An event of a shop's own type: what is neither id, time nor context is kept as it is."""
        user_id = self._user_id(document)
        session_id = self._session_id(kind, document, user_id)
        event_id = identifier(document.get("event_id"), "event_id")
        found = properties_of(document)
        own = {name: value for name, value in document.items() if name not in RECORD_FIELDS - {"amount"}}
        kept = {
            name: value
            for fields in (own, found.second, found.first)
            for name, value in fields.items()
            if value is not None and name != "product_id"
        }
        given = {
            "event_id": event_id,
            "user_id": user_id,
            "session_id": session_id,
            "timestamp": document.get("timestamp"),
        }
        unknown = [name for name, value in own.items() if name not in FIELDS and value not in (None, "", [], {})]
        check_spelling(unknown, [name for name, value in given.items() if value in (None, "")])
        product_id = _readable({"product_id": found.get("product_id")}, "product_id")
        context = context_of(document)
        self._check_limits("properties", kept)
        self._check_limits("context", context)
        return Event(
            event_id or f"{LOG_NAME}-{record.partition}-{record.position}",
            kind,
            _customer(user_id, session_id),
            time_ms(document.get("timestamp")),
            session_id,
            None if product_id is None else ProductId(product_id),
            replayed=is_replayed(document),
            forwarded=log_position_in(document, "forwarded"),
            properties=kept or NOTHING,
            context=context or NOTHING,
        )

    def _with_fields_of_kind(self, event: Event, fields: Fields) -> Event:
        """Add the fields that only events of this kind have."""
        kind, limits = event.kind, self._limits
        if kind in (PURCHASED, REFUNDED):
            return self._with_money(event, fields)
        if kind is REVIEWED:
            rating = whole_number(fields.get("rating"))
            if rating is None or not 1 <= rating <= RATING_MAX:
                raise RejectedRecord("invalid_rating", f"rating is a whole number from 1 to {RATING_MAX}")
            return event._replace(rating=rating, text=label(fields.get("text"), limits.text_length_max) or "")
        if kind is SHOWN:
            return event._replace(shown=_shown(fields.get("products")))
        price = money(fields.get("price"), 1, limits.amount_max)
        return event if price is None else event._replace(price=Amount(ten_thousandths(price)))

    def _with_money(self, event: Event, fields: Fields) -> Event:
        quantity = whole_number(fields.get("quantity", 1))
        if quantity is None or not 1 <= quantity <= self._limits.quantity_max:
            raise RejectedRecord("invalid_quantity", f"quantity is a whole number to {self._limits.quantity_max}")
        price = amount = None
        if "price" in fields:
            price = money(fields["price"], quantity, self._limits.amount_max)
            if price is None:
                raise RejectedRecord("invalid_price", "price is a number from 0")
        if "amount" in fields:
            amount = money(fields["amount"], 1, self._limits.amount_max)
            if amount is None:
                raise RejectedRecord("invalid_amount", "amount is a number from 0")
        each = None
        if price is not None:
            each = ten_thousandths(price)
        elif amount is not None:
            each = ten_thousandths_of_each(amount, quantity)
        total = 0
        if amount is not None:
            total = ten_thousandths(amount)
        elif price is not None:
            total = ten_thousandths(price, quantity)
        return event._replace(
            price=None if each is None else Amount(each),
            amount=total,
            quantity=quantity,
            order_id=identifier(fields.get("order_id"), "order_id"),
        )

    def _user_id(self, document: Fields) -> str | None:
        given = document.get("user_id")
        if given is None:
            return None
        user_id = identifier(given, "user_id")
        if (user_id or "") in self._refused_user_ids or (user_id or "").startswith(ANONYMOUS):
            raise RejectedRecord("invalid_user_id", f"user_id {user_id!r} is refused")
        return user_id

    def _session_id(self, kind: EventKind, document: Fields, user_id: str | None) -> str | None:
        if kind is FORGOTTEN and user_id is not None:
            return None
        session_id = identifier(document.get("session_id"), "session_id")
        if session_id is None or session_id not in self._refused_user_ids:
            return session_id
        if user_id is None:
            raise RejectedRecord("invalid_session_id", f"session_id {session_id!r} is refused without a user_id")
        return None

    def _customer_of_rejected(self, document: Fields) -> CustomerId | None:
        """The customer of a rejected record: the customer whose id decides the record's partition."""
        user_id, session_id = _readable(document, "user_id"), _readable(document, "session_id")
        if user_id is not None and user_id.startswith(ANONYMOUS):
            user_id = None
        is_sign_in = self._kinds.get(str(_type_of(document))) is SIGNED_IN
        return _customer(None if is_sign_in and session_id is not None else user_id, session_id)

    def _check_limits(self, name: str, found: Fields) -> None:
        if len(found) > self._limits.properties_max:
            raise RejectedRecord(f"too_many_{name}", f"more than {self._limits.properties_max}")
        if any(depth_of(value) > self._limits.nesting_max for value in found.values()):
            raise RejectedRecord(f"nested_{name}", f"more than {self._limits.nesting_max} levels")


def _type_of(document: Fields) -> object:
    type_ = document.get("event_type")
    return document.get("action") if type_ is None else type_


def _readable(document: Fields, name: str) -> str | None:
    try:
        return identifier(document.get(name), name)
    except RejectedRecord:
        return None


def _customer(user_id: str | None, session_id: str | None) -> CustomerId | None:
    if user_id is not None:
        return CustomerId(user_id)
    return None if session_id is None else CustomerId(ANONYMOUS + session_id)


def _check_complete(event: Event, user_id: str | None) -> Event:
    """Check that an event has what its kind needs; make a sign-in an event of the visitor."""
    kind, customer_id, product_id = event.kind, event.customer_id, event.product_id
    if kind is SIGNED_IN:
        if user_id is None or event.session_id is None:
            raise RejectedRecord("incomplete_sign_in", "a sign-in needs user_id and session_id")
        return event._replace(customer_id=CustomerId(ANONYMOUS + event.session_id), identified_as=CustomerId(user_id))
    if kind in (FORGOTTEN, SHOWN) and customer_id is None:
        raise RejectedRecord("incomplete_event", "a customer is needed")
    if kind is REVIEWED and (customer_id is None or product_id is None):
        raise RejectedRecord("incomplete_event", "a review needs a customer and a product")
    if customer_id is None and product_id is None:
        raise RejectedRecord("incomplete_event", "neither a customer nor a product")
    return event


def _absent_fields(kind: EventKind, document: Fields, given: Fields) -> set[str]:
    """The fields that this kind uses and the document lacks; `given` has the ids and properties that were read."""
    used = {"event_id", "user_id", "session_id", *USED_PROPERTIES[kind]}
    if kind is FORGOTTEN and given["user_id"] is not None:
        used.remove("session_id")
    absent = {name for name in used if given.get(name) is None}
    if document.get("replayed") is None:
        absent.add("replayed")
    if kind not in _IDS_ONLY and document.get("properties") is None and document.get("metadata") is None:
        absent |= {"properties", "metadata"}
    return absent


def _shown(value: object) -> tuple[ProductId, ...]:
    """The products of a list, without repeats."""
    if not isinstance(value, list) or len(value) > PRODUCTS_MAX:
        raise RejectedRecord("invalid_products", f"products is a list of at most {PRODUCTS_MAX} ids")
    found = dict.fromkeys(ProductId(id_) for entry in value if (id_ := identifier(entry, "products")) is not None)
    if not found:
        raise RejectedRecord("invalid_products", "products is empty")
    return tuple(found)


def _watermark_tick(value: bytes) -> WatermarkTick | Rejected:
    if not value:
        return WatermarkTick()
    if not value.isdigit() or len(value) > TICK_DIGITS_MAX:
        return Rejected("invalid_tick: its value is a whole number of milliseconds, or empty")
    return WatermarkTick(int(value))


def _tick(value: bytes) -> Tick | Rejected:
    try:
        document = json.loads(value)
        elapsed_ms, seen_ms, floor_ms = document["elapsed_ms"], document["seen_ms"], document.get("floor_ms")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Rejected("invalid_tick: it is an object with elapsed_ms and seen_ms")
    for number, least in ((elapsed_ms, 0), (seen_ms, -1), (0 if floor_ms is None else floor_ms, 0)):
        if type(number) is not int or not least <= number < LAST_MS:
            return Rejected("invalid_tick: its times are whole numbers of milliseconds")
    return Tick(elapsed_ms, seen_ms, floor_ms)
