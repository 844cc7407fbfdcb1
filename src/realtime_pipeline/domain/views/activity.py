"""How often each product was viewed, carted and bought in each hour, anywhere and by country."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Final, Self

import attrs

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.kinds import CANCELLED, CARTED, PURCHASED, VIEWED
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.views.projection import Add, Projection

HOUR_MS = 3_600_000
_ACTIONS: Final = frozenset((VIEWED, CARTED, PURCHASED, CANCELLED))

HourKey = tuple[int, ProductId]
"""An hour (since 1970) and a product."""
CountryKey = tuple[int, str, ProductId]
"""An hour, a country and a product."""


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


class HourlyActivity(Projection[HourKey, Activity]):
    """By hour and product, what was done anywhere."""

    product_of = itemgetter(1)
    kinds = _ACTIONS

    def adder(self, table: dict[HourKey, Activity]) -> Add:
        """Count an action in the hour in which it happened."""

        def add(event: Event, product_id: ProductId | None, _recorded: Recorded) -> None:
            if product_id is not None:
                key = (event.occurred_at_ms // HOUR_MS, product_id)
                activity = table.get(key)
                if activity is None:
                    activity = table[key] = Activity()
                if event.kind is VIEWED:  # as most are: a call costs as much as all else here
                    activity.views += 1
                else:
                    activity.count(event.kind)

        return add

    def retract(self, table: dict[HourKey, Activity], event: Contribution) -> None:
        """Count an action out."""
        if event.product_id is not None and event.kind in _ACTIONS:
            table.setdefault((event.at_ms // HOUR_MS, event.product_id), Activity()).count(event.kind, -1)

    def merge(self, table: dict[HourKey, Activity], other: Mapping[HourKey, Activity], latest_ms: int) -> None:
        """Add the counts."""
        for key, activity in other.items():
            table.setdefault(key, Activity()).merge(activity)


class CountryActivity(Projection[CountryKey, Activity]):
    """By hour, country and product, what is known to have been done there."""

    product_of = itemgetter(2)
    kinds = _ACTIONS

    def adder(self, table: dict[CountryKey, Activity]) -> Add:
        """Count an action of which the country is known."""

        def add(event: Event, product_id: ProductId | None, _recorded: Recorded) -> None:
            if product_id is None or not event.context:
                return
            country = event.country
            if country is not None:
                key = (event.occurred_at_ms // HOUR_MS, country, product_id)
                activity = table.get(key)
                if activity is None:
                    activity = table[key] = Activity()
                if event.kind is VIEWED:  # as most are: a call costs as much as all else here
                    activity.views += 1
                else:
                    activity.count(event.kind)

        return add

    def retract(self, table: dict[CountryKey, Activity], event: Contribution) -> None:
        """Count an action out."""
        if event.country is not None and event.product_id is not None and event.kind in _ACTIONS:
            key = (event.at_ms // HOUR_MS, event.country, event.product_id)
            table.setdefault(key, Activity()).count(event.kind, -1)

    def merge(self, table: dict[CountryKey, Activity], other: Mapping[CountryKey, Activity], latest_ms: int) -> None:
        """Add the counts."""
        for key, activity in other.items():
            table.setdefault(key, Activity()).merge(activity)
