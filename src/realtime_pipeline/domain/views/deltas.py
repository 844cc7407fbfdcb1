"""What a range of records adds to the views."""

import sys
from collections.abc import Sequence
from typing import Self
from zlib import crc32

import attrs

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import EventKind, ProductId
from realtime_pipeline.domain.views.activity import HOUR_MS, Activity
from realtime_pipeline.domain.views.product_stats import ProductState


def view_cell_of(product_id: ProductId, view_cells: int) -> int:
    """Which of so many view cells a product lies in."""
    return crc32(product_id.encode()) % view_cells


@attrs.define
class Deltas:
    """What a range of records adds to the views that all customers share.

    Merging is commutative and associative: sums of integers, the later of two facts, the larger of two times.
    `activity` is by hour and product, `by_country` by hour, country and product what of it is known to be of a country.
    `index` maps (product, session) to when the session last touched the product.
    """

    products: dict[ProductId, ProductState] = attrs.Factory(dict)
    activity: dict[tuple[int, ProductId], Activity] = attrs.Factory(dict)
    index: dict[tuple[ProductId, SessionKey], int] = attrs.Factory(dict)
    by_country: dict[tuple[int, str, ProductId], Activity] = attrs.Factory(dict)

    def product(self, product_id: ProductId) -> ProductState:
        """The delta of one product, begun when there is none."""
        state = self.products.get(product_id)
        if state is None:
            state = self.products[product_id] = ProductState()
        return state

    def count_activity(
        self, product_id: ProductId, kind: EventKind, at_ms: int, country: str | None, times: int = 1
    ) -> None:
        """Count what is done with a product in the hour of `at_ms`, and where; -1 takes it out."""
        hour = at_ms // HOUR_MS
        activity = self.activity.get((hour, product_id))
        if activity is None:
            activity = self.activity[hour, product_id] = Activity()
        activity.count(kind, times)
        if country is not None:
            self.by_country.setdefault((hour, country, product_id), Activity()).count(kind, times)

    def index_session(self, product_id: ProductId, key: SessionKey, at_ms: int) -> None:
        """Note that a session touched a product, at the latest of the times it did."""
        entry = (product_id, key)
        known_ms = self.index.get(entry)
        if known_ms is None or at_ms > known_ms:
            self.index[entry] = at_ms

    def parts(self, view_cells: int) -> Sequence[Self]:
        """The deltas that belong to each of so many view cells; these themselves where there is one."""
        if view_cells == 1:
            return (self,)
        parts = [type(self)() for _ in range(view_cells)]
        named = {*self.products, *(key[1] for key in self.activity), *(entry[0] for entry in self.index)}
        named.update(where[2] for where in self.by_country)
        of = {product_id: parts[view_cell_of(product_id, view_cells)] for product_id in named}
        for product_id, state in self.products.items():
            of[product_id].products[product_id] = state
        for key, counted in self.activity.items():
            of[key[1]].activity[key] = counted
        for entry, at_ms in self.index.items():
            of[entry[0]].index[entry] = at_ms
        for where, counted in self.by_country.items():
            of[where[2]].by_country[where] = counted
        return parts

    def merge(self, other: Self, latest_ms: int = sys.maxsize) -> None:
        """Add another range's deltas to these; `other` stays as it is. Facts of products with a time after
        `latest_ms` gives way to anything else."""
        for product_id, state in other.products.items():
            self.product(product_id).merge(state, latest_ms)
        for key, activity in other.activity.items():
            self.activity.setdefault(key, Activity()).merge(activity)
        for where, activity in other.by_country.items():
            self.by_country.setdefault(where, Activity()).merge(activity)
        if self.index.keys().isdisjoint(other.index):  # as between partitions, whose sessions are their own
            self.index.update(other.index)
            return
        for (product_id, session), at_ms in other.index.items():
            self.index_session(product_id, session, at_ms)
