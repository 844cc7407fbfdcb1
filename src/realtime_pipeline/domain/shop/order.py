"""What a customer bought under one order id."""

import attrs


@attrs.define
class Order:
    """One order as it stands: its lines add up, refunds take away. `amount` in ten-thousandths.

    `placed_at_ms` is None until a purchase of the order has come: a refund may come before it.
    """

    placed_at_ms: int | None = None
    units: int = 0
    amount: int = 0
