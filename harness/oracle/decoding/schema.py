"""The schema of events, as docs/events.md defines it: types, fields, and which fields each kind uses."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import attrs

from realtime_pipeline.domain.shop.events import EventKind

VIEWED, CARTED, UNCARTED = EventKind.PRODUCT_VIEWED, EventKind.PRODUCT_CARTED, EventKind.PRODUCT_UNCARTED
PURCHASED, REFUNDED = EventKind.PRODUCT_PURCHASED, EventKind.PURCHASE_CANCELLED
REVIEWED, SHOWN = EventKind.PRODUCT_REVIEWED, EventKind.RECOMMENDATIONS_SHOWN
SIGNED_IN, FORGOTTEN = EventKind.CUSTOMER_SIGNED_IN, EventKind.CUSTOMER_FORGOTTEN
UPDATED, REMOVED, STOCKED = EventKind.PRODUCT_UPDATED, EventKind.PRODUCT_REMOVED, EventKind.STOCK_SET

TYPES: Final[Mapping[EventKind, tuple[str, ...]]] = {
    VIEWED: ("product_viewed", "product_view", "view", "viewed", "click"),
    CARTED: ("product_carted", "add_to_cart", "cart"),
    UNCARTED: ("product_uncarted", "remove_from_cart"),
    PURCHASED: ("product_purchased", "purchase", "purchased", "transaction"),
    REFUNDED: ("purchase_cancelled", "cancellation", "cancel", "refund"),
    REVIEWED: ("product_reviewed", "review"),
    SIGNED_IN: ("customer_signed_in", "sign_in", "login"),
    SHOWN: ("recommendations_shown", "exposure", "impression"),
    FORGOTTEN: ("customer_forgotten", "forget"),
    UPDATED: ("product_updated",),
    REMOVED: ("product_removed",),
    STOCKED: ("stock_set",),
}
PROFILE_TYPE: Final = "history_merged"

RECORD_FIELDS: Final = frozenset(
    (
        "event_id",
        "event_type",
        "action",
        "user_id",
        "session_id",
        "timestamp",
        "replayed",
        "properties",
        "metadata",
        "context",
        "amount",
        "forwarded",
    )
)
PROPERTY_FIELDS: Final = frozenset(
    (
        "product_id",
        "name",
        "category",
        "price",
        "quantity",
        "amount",
        "order_id",
        "rating",
        "text",
        "products",
    )
)
FIELDS: Final = RECORD_FIELDS | PROPERTY_FIELDS
RECORD_PROPERTIES: Final = frozenset(("product_id", "price", "quantity", "amount", "order_id"))
"""Properties that may also be fields of the record itself; they count where its properties lack them."""
EMPTY_IS_ABSENT: Final = frozenset(("product_id", "order_id", "category", "name", "text"))
"""Properties whose value "" is absent."""

_INTERACTION: Final = frozenset(("product_id", "category", "name", "price"))
_ORDER_LINE: Final = _INTERACTION | {"quantity", "amount", "order_id"}
USED_PROPERTIES: Final[Mapping[EventKind, frozenset[str]]] = {
    VIEWED: _INTERACTION,
    CARTED: _INTERACTION,
    UNCARTED: _INTERACTION,
    PURCHASED: _ORDER_LINE,
    REFUNDED: _ORDER_LINE,
    REVIEWED: frozenset(("product_id", "rating", "text", "category", "name")),
    SHOWN: frozenset(("products",)),
    SIGNED_IN: frozenset(),
    FORGOTTEN: frozenset(),
}


class Limits(Protocol):
    """The limits of an event: the settings `events.*`."""

    @property
    def record_bytes_max(self) -> int:
        """The largest record, in bytes."""

    @property
    def label_length_max(self) -> int:
        """The longest name or category, in characters."""

    @property
    def text_length_max(self) -> int:
        """The longest text of a review, in characters."""

    @property
    def properties_max(self) -> int:
        """The number of unknown properties of an event, and of entries in its context."""

    @property
    def nesting_max(self) -> int:
        """Levels of objects and lists in an unknown property or an entry of the context."""

    @property
    def quantity_max(self) -> int:
        """The largest quantity of a purchase or refund."""

    @property
    def refused_user_ids(self) -> Collection[str]:
        """User ids that programs write for unknown users, such as `null`."""

    @property
    def custom(self) -> Collection[str]:
        """The shop's own types whose events are applied under their own name."""

    @property
    def amount_max(self) -> int:
        """The largest total of a purchase or refund, in units of the currency."""


@attrs.frozen
class EventSchema:
    """How a shop writes its events: the settings `events` and `event_types`, which map its own types to known types."""

    limits: Limits
    event_types: Mapping[str, str] = attrs.Factory(dict)

    def kinds(self) -> dict[str, EventKind]:
        """Map every type name to its kind. A shop's own names override the built-in names."""
        built_in = {name: kind for kind, names in TYPES.items() for name in names}
        mapped = {own: built_in[known] for own, known in self.event_types.items()}
        return {own: EventKind(f"custom:{own}") for own in self.limits.custom} | built_in | mapped
