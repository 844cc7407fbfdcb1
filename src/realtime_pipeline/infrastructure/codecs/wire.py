"""Events on the wire: their fields, and the structs that the fast path parses."""

from typing import Annotated, Final

import msgspec

from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX
from realtime_pipeline.domain.shop.review import RATINGS

SHOWN_MAX: Final = 100
"""How many products a shown list may have."""
Id = Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX)] | int | None
Money = Annotated[float, msgspec.Meta(ge=0, le=1e15)] | None
Partition = Annotated[int, msgspec.Meta(ge=0, lt=PARTITIONS_MAX)]
Position = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
LogPosition = tuple[Partition, Position]
"""The partition and the position of a record of the log."""


class Properties(msgspec.Struct):
    """The properties of an event: of a product, an order, a review or a shown list."""

    product_id: Id = None
    category: str | None = None
    name: str | None = None
    price: Money = None
    quantity: Annotated[int, msgspec.Meta(ge=1)] | None = None
    amount: Money = None
    order_id: Id = None
    rating: Annotated[int, msgspec.Meta(ge=RATINGS[0], le=RATINGS[-1])] | None = None
    text: str | None = None
    products: Annotated[list[Id], msgspec.Meta(max_length=SHOWN_MAX)] | None = None


class Wire(msgspec.Struct):
    """The fields of an event of any schema, with validated types."""

    event_id: Id = None
    user_id: Id = None
    session_id: Id = None
    timestamp: int | float | str | None = None
    properties: Properties | None = None
    context: dict[str, object] | None = None
    replayed: bool = False
    forwarded: LogPosition | None = None


class CanonicalProperties(Properties, forbid_unknown_fields=True):
    """Properties of which all are known."""


class CanonicalWire(Wire, forbid_unknown_fields=True, kw_only=True):
    """An event in the canonical schema without unknown fields, as most are: parsed in one step."""

    event_type: str
    properties: CanonicalProperties | None = None
