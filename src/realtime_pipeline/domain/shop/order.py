"""What a customer bought under one order id."""

import attrs


@attrs.define
class Order:
    """One order as it stands: its lines add up, cancellations take away. `amount` in ten-thousandths."""

    placed_at_ms: int
    units: int = 0
    amount: int = 0
