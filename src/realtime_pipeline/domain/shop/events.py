"""The events of a shop, in the past tense. One family, one file: what is not listed here does not happen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, NewType

from realtime_pipeline.domain.open_enum import OpenStrEnum
from realtime_pipeline.domain.shop.money import Amount

CustomerId = NewType("CustomerId", str)
"""Whose profile it is: a user id, or for a visitor who has not signed in `anonymous:` and the session id."""

ProductId = NewType("ProductId", str)

ID_LENGTH_MAX: Final = 128
"""Characters of an id of an event, a user, a session, a product or an order."""

ANONYMOUS: Final = "anonymous:"
COUNTRY_LENGTH: Final = 2


def anonymous(session_id: str) -> CustomerId:
    """Name the visitor who is known by a session alone."""
    return CustomerId(ANONYMOUS + session_id)


def routing_key(customer_id: CustomerId) -> str:
    """The key by which a customer's events are put into partitions: the user id, else the session id, as it is."""
    return customer_id.removeprefix(ANONYMOUS)


def naming(customer_id: CustomerId) -> dict[str, str]:
    """How an event document says whose it is: a field and its value."""
    return {"session_id" if customer_id.startswith(ANONYMOUS) else "user_id": routing_key(customer_id)}


def country_code(said: object) -> str | None:
    """Two letters (ISO 3166-1), in capitals; what is anything else says nothing."""
    if isinstance(said, str) and len(said) == COUNTRY_LENGTH and said.isascii() and said.isalpha():
        return said.upper()
    return None


NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class EventKind(OpenStrEnum):
    """What happened. A shop's own type names are mapped to these at the edge."""

    PRODUCT_VIEWED = "product_viewed"
    PRODUCT_CARTED = "product_carted"
    PRODUCT_UNCARTED = "product_uncarted"
    PRODUCT_PURCHASED = "product_purchased"
    PURCHASE_CANCELLED = "purchase_cancelled"
    PRODUCT_REVIEWED = "product_reviewed"
    RECOMMENDATIONS_SHOWN = "recommendations_shown"
    CUSTOMER_SIGNED_IN = "customer_signed_in"
    CUSTOMER_FORGOTTEN = "customer_forgotten"


class Event(NamedTuple):  # made for every record: a named tuple costs a third of a frozen attrs class
    """Something that happened in the shop, as every part of the program knows it.

    Validated at the edge, by the one decoder; nothing behind it checks again. `price` is for one piece, `amount` the
    total of a purchase or refund (0 where none is given). `shown` are the products of a list that was shown;
    `identified_as` is the customer that a visitor signs in as. `replayed` is set on records that are brought back by
    force although the customer's memory no longer reaches to their time. `forwarded` is set on the copy of a visitor's
    event that goes to the customer they signed in as: the (partition, position) of the original record, whose owner has
    judged it already.
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

    @property
    def country(self) -> str | None:
        """Where it happened, where the context says so."""
        return country_code(self.context.get("country")) if self.context else None
