"""What a single event of a visitor added to their profile."""

from typing import NamedTuple

from realtime_pipeline.domain.shop.events import NOTHING, Event, EventKind, ProductId


class Contribution(NamedTuple):
    """An event of a visitor as far as it changed sums, with the digest of its id, so that it can be taken out again.

    `rating` is that of a review which is the visitor's opinion. `amount` is in ten-thousandths.
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

    @classmethod
    def of(cls, event: Event, digest: bytes) -> "Contribution":
        """What an event adds, with the digest of its id."""
        return cls(
            digest,
            event.kind,
            event.occurred_at_ms,
            event.product_id,
            event.category,
            event.amount,
            event.quantity,
            event.order_id,
            event.country,
            event.rating,
            event.shown,
        )

    def as_event(self) -> Event:
        """The event again, as far as it is known."""
        context = NOTHING if self.country is None else {"country": self.country}
        return Event(
            "",
            self.kind,
            None,
            self.at_ms,
            product_id=self.product_id,
            category=self.category,
            amount=self.amount,
            quantity=self.quantity,
            order_id=self.order_id,
            rating=self.rating,
            context=context,
            shown=self.shown,
        )
