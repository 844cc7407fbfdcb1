"""What a customer bought under one order id."""

import attrs


@attrs.define
class Order:
    """One order as it stands: its lines add up, later cancellations take away. `amount` in ten-thousandths.

    A cancellation that comes before any line of its order takes from the customer's spend alone.
    """

    placed_at_ms: int
    units: int = 0
    amount: int = 0
