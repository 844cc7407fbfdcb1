"""What a single event of a visitor added to their profile."""

from typing import NamedTuple

from realtime_pipeline.domain.shop.events import EventKind, ProductId


class Contribution(NamedTuple):
    """An event of a visitor as far as it changed sums, by the digest of its id, so that it can be taken out again.

    `rating` is that of a review which stands as the visitor's opinion. `amount` is in ten-thousandths.
    """

    digest: bytes
    kind: EventKind
    at_ms: int
    product_id: ProductId | None = None
    category: str | None = None
    amount: int = 0
    quantity: int = 1
    order_id: str | None = None
    country: str | None = None
    rating: int | None = None
    shown: tuple[ProductId, ...] = ()
