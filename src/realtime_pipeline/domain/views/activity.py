"""How often each product was viewed, carted and bought in each hour."""

from typing import Self

import attrs

from realtime_pipeline.domain.profile.kinds import CANCELLED, CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.shop.events import EventKind

HOUR_MS = 3_600_000


@attrs.define
class Activity:
    """How often a product was viewed, carted and bought in one hour; a cancellation takes one purchase back."""

    views: int = 0
    carts: int = 0
    purchases: int = 0

    def count(self, kind: EventKind, times: int = 1) -> None:
        """Count an event in, or out (-1); other kinds than these four add nothing."""
        if kind is VIEWED:
            self.views += times
        elif kind is CARTED:
            self.carts += times
        elif kind is PURCHASED:
            self.purchases += times
        elif kind is CANCELLED:
            self.purchases -= times

    def merge(self, delta: Self) -> None:
        """Add a delta."""
        self.views += delta.views
        self.carts += delta.carts
        self.purchases += delta.purchases
