"""What the events of all customers must add up to: product statistics, hourly activity and the partitions' times."""

from collections.abc import Mapping
from typing import Final, TypeVar

import attrs

from harness.oracle.identity import KEY_STRIDE, merged_profile_in
from harness.oracle.listings import Sale
from harness.oracle.profile import country_of
from harness.oracle.sessions import INTERACTIONS
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId

HOUR_MS: Final = 3_600_000

T = TypeVar("T")

Actions = tuple[int, int, int]
"""Views, carts and purchases."""

_ACTIONS: Final[Mapping[EventKind, Actions]] = {
    EventKind.PRODUCT_VIEWED: (1, 0, 0),
    EventKind.PRODUCT_CARTED: (0, 1, 0),
    EventKind.PRODUCT_PURCHASED: (0, 0, 1),
    EventKind.PURCHASE_CANCELLED: (0, 0, -1),
}
"""What an event adds to its product's actions of the hour."""


@attrs.frozen
class ExpectedProduct:
    """What a product's state must hold; name, category and price are the last values written, each with its time."""

    interactions: int
    ratings: int
    rating_sum: int
    name: tuple[str, int] | None
    category: tuple[str, int] | None
    price: tuple[int, int] | None


@attrs.define
class ViewTotals:
    """Sums over all applied events.

    `names`, `categories` and `prices` have (time, value) of the last write. `largest_times` has the two largest event
    times of each partition. `retracted_ratings` are those that a visitor and the customer have both counted. `times`
    has position and time of each event of `stock_partitions`.
    """

    appended_ms_of_ahead: Mapping[SessionKey, int]
    products: set[ProductId] = attrs.Factory(set)
    interactions: dict[ProductId, int] = attrs.Factory(dict)
    ratings: dict[ProductId, list[int]] = attrs.Factory(dict)
    names: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    categories: dict[ProductId, tuple[int, str]] = attrs.Factory(dict)
    prices: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    activity: dict[tuple[int, ProductId], Actions] = attrs.Factory(dict)
    activity_by_country: dict[tuple[int, str, ProductId], Actions] = attrs.Factory(dict)
    largest_times: dict[int, list[int]] = attrs.Factory(dict)
    retracted_ratings: dict[ProductId, list[int]] = attrs.Factory(dict)
    sales: list[Sale] = attrs.Factory(list)
    stock_partitions: frozenset[int] = frozenset()
    times: dict[int, list[tuple[int, int]]] = attrs.Factory(dict)

    def add_time(self, key: SessionKey, event: Event) -> None:
        """Add the time of an applied event; `key` is the session key of its position in the log."""
        at_ms, partition = event.occurred_at_ms, key % KEY_STRIDE
        if merged_profile_in(event) is None:  # the time of a merged profile has counted with the sign-in already
            counted_ms = min(at_ms, self.appended_ms_of_ahead.get(key, at_ms))
            if partition in self.stock_partitions:
                self.times.setdefault(partition, []).append((key // KEY_STRIDE, counted_ms))
            times = [*self.largest_times.get(partition, ()), counted_ms]
            self.largest_times[partition] = sorted(times)[-2:]

    def add(self, event: Event) -> None:
        """Add an applied event that counts for all customers."""
        at_ms, product_id = event.occurred_at_ms, event.product_id
        if product_id is None:
            return
        self.products.add(product_id)
        # Of two values written at the same time, the larger value wins.
        if event.name is not None:
            self.names[product_id] = max((at_ms, event.name), self.names.get(product_id, (at_ms, event.name)))
        if event.category is not None:
            written = (at_ms, event.category)
            self.categories[product_id] = max(written, self.categories.get(product_id, written))
        if event.price is not None and event.kind is not EventKind.PURCHASE_CANCELLED:
            self.prices[product_id] = max((at_ms, event.price), self.prices.get(product_id, (at_ms, event.price)))
        if event.kind in INTERACTIONS:
            self.interactions[product_id] = self.interactions.get(product_id, 0) + 1
        if event.kind is EventKind.PRODUCT_PURCHASED:
            self.sales.append((product_id, at_ms, event.quantity))
        self._add_activity(event.kind, at_ms, product_id, country_of(event), 1)

    def retract(self, duplicate: Contribution) -> None:
        """Subtract an event that a visitor and the customer have both counted."""
        product_id = duplicate.product_id
        if product_id is None:
            return
        if duplicate.rating is not None and duplicate.kind is EventKind.PRODUCT_REVIEWED:
            self.retracted_ratings.setdefault(product_id, []).append(duplicate.rating)
        if duplicate.kind in INTERACTIONS:
            self.interactions[product_id] = self.interactions.get(product_id, 0) - 1
        if duplicate.kind is EventKind.PRODUCT_PURCHASED:
            self.sales.append((product_id, duplicate.at_ms, -duplicate.quantity))
        self._add_activity(duplicate.kind, duplicate.at_ms, product_id, duplicate.country, -1)

    def _add_activity(self, kind: EventKind, at_ms: int, product_id: ProductId, country: str | None, sign: int) -> None:
        if kind not in _ACTIONS:
            return
        hour, actions = at_ms // HOUR_MS, _ACTIONS[kind]
        self.activity[hour, product_id] = _sum(self.activity.get((hour, product_id)), actions, sign)
        if country is not None:
            segment = hour, country, product_id
            self.activity_by_country[segment] = _sum(self.activity_by_country.get(segment), actions, sign)

    def expected_products(self) -> dict[ProductId, ExpectedProduct]:
        """The state of every product that an applied event names."""
        return {
            product_id: ExpectedProduct(
                self.interactions.get(product_id, 0),
                len(self.ratings.get(product_id, ())) - len(self.retracted_ratings.get(product_id, ())),
                sum(self.ratings.get(product_id, ())) - sum(self.retracted_ratings.get(product_id, ())),
                _last_write(self.names.get(product_id)),
                _last_write(self.categories.get(product_id)),
                _last_write(self.prices.get(product_id)),
            )
            for product_id in self.products
        }


def _last_write(written: tuple[int, T] | None) -> tuple[T, int] | None:
    return None if written is None else (written[1], written[0])


def _sum(before: Actions | None, actions: Actions, sign: int) -> Actions:
    views, carts, purchases = before or (0, 0, 0)
    return views + sign * actions[0], carts + sign * actions[1], purchases + sign * actions[2]
