"""A visit: what one customer looked at without pausing for long."""

from typing import Final, NamedTuple, NewType, Self

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import bounded

SessionKey = NewType("SessionKey", int)
"""Opaque and unique: made of the place in the log of the record that began the session."""

PARTITIONS_MAX: Final = 4096


def session_key(partition: int, position: int) -> SessionKey:
    """Name the session that the record at `position` of `partition` begins. Later sessions have larger keys."""
    return SessionKey(position * PARTITIONS_MAX + partition)


def partition_of(key: SessionKey) -> int:
    """Say in which partition, and so in which cell, a session lies."""
    return key % PARTITIONS_MAX


class SessionSummary(NamedTuple):  # a hundred are read for every list of recommendations
    """What a session leaves for others: when it was touched last, and its products.

    `products` maps each to the largest weight of what was done (0 once it was taken out of the cart again), the one
    touched longest ago first.
    """

    last_at_ms: int
    products: dict[ProductId, int]


@attrs.define
class Session:
    """What one visitor looked at, carted and bought in one go.

    `products` maps each product to (the last time it was touched in ms, the largest weight of what was done; 0 once it
    was taken out of the cart again), the one touched longest ago first; those of one instant as the log has them.
    Belongs to its customer, which alone changes it.
    """

    key: SessionKey
    session_id: str | None
    started_at_ms: int
    last_at_ms: int
    events: int = 0
    products: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)

    def summary(self) -> SessionSummary:
        """What others are led by."""
        return SessionSummary(
            self.last_at_ms, {product_id: weight for product_id, (_, weight) in self.products.items()}
        )

    def belongs(self, session_id: str | None, at_ms: int, gap_ms: int) -> bool:
        """Say whether an event belongs here: by the session's id, else by being at most `gap_ms` away."""
        if session_id is not None or self.session_id is not None:
            return session_id == self.session_id
        return self.started_at_ms - gap_ms <= at_ms <= self.last_at_ms + gap_ms

    def touch(self, at_ms: int) -> None:
        """Count an event in, which may have come late."""
        self.events += 1
        if at_ms > self.last_at_ms:
            self.last_at_ms = at_ms
        elif at_ms < self.started_at_ms:
            self.started_at_ms = at_ms

    def add(self, product_id: ProductId, at_ms: int, weight: int, products_max: int) -> None:
        """Note a product of an event counted in; over `products_max` those touched longest ago leave (ties: the smaller
        id)."""
        products = self.products
        seen = products.get(product_id)
        if seen is not None:
            if at_ms >= seen[0]:
                del products[product_id]  # it comes last now, also among those of one instant
            at_ms, weight = max(at_ms, seen[0]), max(weight, seen[1])
        products[product_id] = (at_ms, weight)
        if at_ms < self.last_at_ms:
            self.products = products = dict(sorted(products.items(), key=lambda item: item[1][0]))
        if len(products) > products_max:
            del products[self._first_touched()]

    def merge(self, visitor: Self, products_max: int) -> None:
        """Add what a visitor did in a session of the same id."""
        self.events = bounded(self.events + visitor.events)
        self.started_at_ms = min(self.started_at_ms, visitor.started_at_ms)
        self.last_at_ms = max(self.last_at_ms, visitor.last_at_ms)
        for product_id, (touched_ms, weight) in visitor.products.items():
            self.add(product_id, touched_ms, weight, products_max)

    def _first_touched(self) -> ProductId:
        """The product touched longest ago (ties: the smaller id)."""
        products = iter(self.products.items())
        first, (first_ms, _) = next(products)
        for product_id, (at_ms, _) in products:
            if at_ms > first_ms:
                break
            first = min(first, product_id)
        return first

    def retract(self, product_id: ProductId) -> None:
        """Take back what was done with a product: it says nothing any more, until it is touched again."""
        seen = self.products.get(product_id)
        if seen is not None:
            self.products[product_id] = (seen[0], 0)
