"""What an event may measure: the settings below `[events]`."""

from typing import Final

import attrs

from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.domain.shop.money import PER_UNIT

AMOUNT_LIMIT: Final = 2**53 // PER_UNIT
"""In units: up to here a JSON number holds every ten-thousandth."""
QUANTITY_LIMIT: Final = 2**53

REFUSED_USER_IDS: Final = ("", "undefined", "null", "None", "NaN", "[object Object]")
"""What programs write where they do not know the user."""

FORWARDED_BYTES: Final = 2_048
"""What forwarding adds to an event: two ids with their names, of characters of up to four bytes, or escaped."""


@attrs.frozen
class EventLimits:
    """What an event may measure, beside its ids' 128 characters. Amounts in units of the currency.

    An event of one of `refused_user_ids` is refused: it would make one customer of many strangers.
    """

    record_bytes_max: int = 65_536
    label_length_max: int = 256
    text_length_max: int = 2_000
    properties_max: int = 64
    nesting_max: int = 4
    quantity_max: int = 1_000_000
    amount_max: int = 1_000_000_000
    refused_user_ids: tuple[str, ...] = REFUSED_USER_IDS

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(AMOUNT_LIMIT, self, "amount_max")

    def bytes_max(self, *, has_user: bool) -> int:
        """How many bytes an event may have: a visitor's is forwarded with a user id, an event id and its origin."""
        return self.record_bytes_max + (FORWARDED_BYTES if has_user else 0)
