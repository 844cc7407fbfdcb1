"""Order: what a customer bought under one order id."""

import attrs


@attrs.define
class Order:
    """The sum of an order's lines, less its refunds; `amount` is in ten-thousandths.

    `placed_at_ms` is the time of the order's first purchase in ms; None while only refunds have arrived.
    """

    placed_at_ms: int | None = None
    units: int = 0
    amount: int = 0
