"""What a customer bought and took back: money, units, orders."""

from collections.abc import Iterable, Mapping
from typing import Final, Self

import attrs

from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.kinds import CANCELLED, PURCHASED
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import bounded
from realtime_pipeline.domain.shop.order import Order

_SIGNS: Final[Mapping[EventKind, int]] = {PURCHASED: 1, CANCELLED: -1}


@attrs.define
class Purchases:
    """What a customer bought, less what they took back. Sums are integers; `spend` is in ten-thousandths.

    `by_product` maps a product to (units bought less units refunded, when either happened last in ms). `orders` keeps
    the orders whose first record arrived last, for telling lines of a known order from new orders: an order that has
    left counts as new when it comes again.
    """

    spend: int = 0
    units: int = 0
    orders_placed: int = 0
    by_product: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)
    orders: dict[str, Order] = attrs.Factory(dict)

    @property
    def bought(self) -> dict[ProductId, int]:
        """The products of which the customer keeps some, with when they were last bought or refunded in ms."""
        return {product_id: last_ms for product_id, (units, last_ms) in self.by_product.items() if units > 0}

    def record(self, event: Event, settings: ProfileSettings) -> None:
        """Add a purchase."""
        self.spend = bounded(self.spend + event.amount)
        self.units += event.quantity
        if event.product_id is not None:
            self._add_units(event.product_id, event.quantity, event.occurred_at_ms, settings)
        if event.order_id is None:
            self.orders_placed += 1
            return
        order = self._order(event.order_id, settings)
        if order.placed_at_ms is None:
            self.orders_placed += 1
            order.placed_at_ms = event.occurred_at_ms
        order.placed_at_ms = min(order.placed_at_ms, event.occurred_at_ms)
        order.units += event.quantity
        order.amount = bounded(order.amount + event.amount)

    def cancel(self, event: Event, settings: ProfileSettings) -> None:
        """Take back what was bought, in units and money; a refund may come before its purchase."""
        self.spend = bounded(self.spend - event.amount)
        self.units -= event.quantity
        if event.product_id is not None:
            self._add_units(event.product_id, -event.quantity, event.occurred_at_ms, settings)
        if event.order_id is not None:
            order = self._order(event.order_id, settings)
            order.units -= event.quantity
            order.amount = bounded(order.amount - event.amount)

    def _order(self, order_id: str, settings: ProfileSettings) -> Order:
        """The order of an id, begun where it is not known."""
        order = self.orders.get(order_id)
        if order is None:
            order = Order()
            self._add_order(order_id, order, settings)
        return order

    def _add_order(self, order_id: str, order: Order, settings: ProfileSettings) -> None:
        """Keep an order; over `orders_max` the one that came first leaves."""
        self.orders[order_id] = order
        if len(self.orders) > settings.orders_max:
            del self.orders[next(iter(self.orders))]

    def _add_units(self, product_id: ProductId, units: int, at_ms: int, settings: ProfileSettings) -> None:
        """Add units of a product bought (or, less than 0, refunded).

        Over `bought_products_max` the product bought or refunded longest ago leaves (ties: the smaller id).
        """
        products = self.by_product
        before, before_ms = products.get(product_id, (0, at_ms))
        products[product_id] = (bounded(before + units), max(before_ms, at_ms))
        if len(products) > settings.bought_products_max:
            del products[min(products, key=lambda known: (products[known][1], known))]

    def without(self, duplicates: Iterable[Contribution]) -> Self:
        """Take single purchases and refunds out; a product or an order that has left the profile is in no list."""
        left = attrs.evolve(
            self,
            by_product=dict(self.by_product),
            orders={order_id: attrs.evolve(order) for order_id, order in self.orders.items()},
        )
        for event in duplicates:
            sign = _SIGNS.get(event.kind)
            if sign is not None:
                left._retract(event, sign)
        return left

    def _retract(self, event: Contribution, sign: int) -> None:
        self.spend -= sign * event.amount
        self.units -= sign * event.quantity
        self.orders_placed -= event.kind is PURCHASED and event.order_id is None
        if event.product_id in self.by_product:
            units, last_ms = self.by_product[event.product_id]
            self.by_product[event.product_id] = (units - sign * event.quantity, last_ms)
        order = self.orders.get(event.order_id) if event.order_id is not None else None
        if order is not None:
            order.units -= sign * event.quantity
            order.amount -= sign * event.amount

    def merge(self, visitor: Self, settings: ProfileSettings) -> None:
        """Add what a visitor bought; an order that both have counted is one order."""
        self.spend = bounded(self.spend + visitor.spend)
        self.units = bounded(self.units + visitor.units)
        self.orders_placed = bounded(self.orders_placed + visitor.orders_placed)
        for product_id, (units, last_ms) in visitor.by_product.items():
            self._add_units(product_id, units, last_ms, settings)
        for order_id, order in visitor.orders.items():
            known = self.orders.get(order_id)
            if known is None:
                self._add_order(order_id, order, settings)
                continue
            self.orders_placed -= known.placed_at_ms is not None and order.placed_at_ms is not None
            known.placed_at_ms = min(
                (at_ms for at_ms in (known.placed_at_ms, order.placed_at_ms) if at_ms is not None), default=None
            )
            known.units = bounded(known.units + order.units)
            known.amount = bounded(known.amount + order.amount)
