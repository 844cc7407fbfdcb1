"""The events of a shop, in the past tense: the whole family in one file."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, NewType

from realtime_pipeline.domain.open_enum import OpenStrEnum
from realtime_pipeline.domain.shop.money import Amount

CustomerId = NewType("CustomerId", str)
"""The id of a profile: a user id; for a visitor who has not signed in, `anonymous:` and the session id."""

ProductId = NewType("ProductId", str)

ID_LENGTH_MAX: Final = 128
"""How many characters the id of an event, user, session, product or order has at most."""

ANONYMOUS: Final = "anonymous:"
CUSTOM: Final = "custom:"
"""What the kinds of a shop's own types begin with."""
COUNTRY_LENGTH: Final = 2


def anonymous(session_id: str) -> CustomerId:
    """Return the customer id of a visitor who has only a session id."""
    return CustomerId(ANONYMOUS + session_id)


def routing_key(customer_id: CustomerId) -> str:
    """Return the record key of a customer's events, which decides their partition: the user id, or the session id."""
    return customer_id.removeprefix(ANONYMOUS)


def customer_id_field(customer_id: CustomerId) -> dict[str, str]:
    """Return the field, with its value, that names the customer in an event document."""
    return {"session_id" if customer_id.startswith(ANONYMOUS) else "user_id": routing_key(customer_id)}


def country_code(value: object) -> str | None:
    """Return a country as two capital letters (ISO 3166-1); None if the value is not two letters."""
    if isinstance(value, str) and len(value) == COUNTRY_LENGTH and value.isascii() and value.isalpha():
        return value.upper()
    return None


NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})


class EventKind(OpenStrEnum):
    """The type of an event. The decoder maps a shop's own type names to these, or makes them custom kinds."""

    PRODUCT_VIEWED = "product_viewed"
    PRODUCT_CARTED = "product_carted"
    PRODUCT_UNCARTED = "product_uncarted"
    PRODUCT_PURCHASED = "product_purchased"
    PURCHASE_CANCELLED = "purchase_cancelled"
    PRODUCT_REVIEWED = "product_reviewed"
    RECOMMENDATIONS_SHOWN = "recommendations_shown"
    CUSTOMER_SIGNED_IN = "customer_signed_in"
    CUSTOMER_FORGOTTEN = "customer_forgotten"
    PRODUCT_UPDATED = "product_updated"
    PRODUCT_REMOVED = "product_removed"
    STOCK_SET = "stock_set"

    @classmethod
    def custom(cls, type_name: str) -> "EventKind":
        """Return the kind of a type that a shop names in `events.custom`: it is counted by its own name."""
        return cls(CUSTOM + type_name)

    @property
    def is_custom(self) -> bool:
        """Whether it is a kind of the shop's own."""
        return self.startswith(CUSTOM)


class Event(NamedTuple):  # made for every record: a named tuple costs a third of a frozen attrs class
    """Something that happened in the shop, at `occurred_at_ms` (ms since 1970, by the sender's clock).

    The decoder validates it; no later step checks it again. `price` is for one unit, `amount` the total of a purchase
    or refund (0 if the event has none), both in ten-thousandths of the currency's unit. `shown` are the products of a
    list that was shown. `identified_as` is the customer that a visitor signs in as. `replayed` marks a repaired dead
    letter, which is applied although the customer's deduplication window no longer reaches back to its time.
    `forwarded` marks the copy of a visitor's event for the customer they signed in as: it is the (partition, position)
    of the original, whose owner has deduplicated it already. `facts` are what a catalogue event states of its product
    (`facts.py`); such an event has no customer.
    """

    event_id: str
    kind: EventKind
    customer_id: CustomerId | None
    occurred_at_ms: int
    session_id: str | None = None
    product_id: ProductId | None = None
    category: str | None = None
    name: str | None = None
    price: Amount | None = None
    amount: int = 0
    quantity: int = 1
    order_id: str | None = None
    rating: int | None = None
    text: str = ""
    replayed: bool = False
    properties: Mapping[str, object] = NOTHING
    context: Mapping[str, object] = NOTHING
    shown: tuple[ProductId, ...] = ()
    identified_as: CustomerId | None = None
    forwarded: tuple[int, int] | None = None
    facts: Mapping[str, str] = NO_FACTS

    @property
    def country(self) -> str | None:
        """The country in the event's context, as two capital letters; None without one."""
        return country_code(self.context.get("country")) if self.context else None
