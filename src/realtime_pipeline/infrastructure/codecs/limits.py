"""Limits of an event: the settings below `[events]`."""

from typing import Final

import attrs

from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.domain.shop.money import PER_UNIT

AMOUNT_LIMIT: Final = 2**53 // PER_UNIT
"""In units of the currency: up to here a JSON number represents every ten-thousandth exactly."""
QUANTITY_LIMIT: Final = 2**53

REFUSED_USER_IDS: Final = ("", "undefined", "null", "None", "NaN", "[object Object]")
"""Placeholders that programs write if they do not know the user."""

CUSTOM_MAX: Final = 48
"""How many custom types there are at most: a profile counts each, and two merge to at most 64 kinds."""
CUSTOM_LENGTH_MAX: Final = 57
"""Characters of a custom type: with its prefix, it is a kind of at most 64."""

FORWARDED_BYTES: Final = 2_048
"""The bytes that forwarding adds to an event: two fields with ids of characters of up to four bytes, or escaped."""


@attrs.frozen
class EventLimits:
    """Limits of an event; its ids have at most 128 characters. Amounts are in units of the currency.

    Events of `refused_user_ids` are refused: else many strangers would be treated as one customer. Events of the types
    in `custom` are applied under their own name, with or without a customer or a product.
    """

    record_bytes_max: int = 65_536
    label_length_max: int = 256
    text_length_max: int = 2_000
    properties_max: int = 64
    nesting_max: int = 4
    quantity_max: int = 1_000_000
    amount_max: int = 1_000_000_000
    refused_user_ids: tuple[str, ...] = REFUSED_USER_IDS
    custom: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        if len(self.custom) > CUSTOM_MAX:
            raise ValueError(f"custom has {len(self.custom)} types, more than {CUSTOM_MAX}")
        for name in self.custom:
            if not name or len(name) > CUSTOM_LENGTH_MAX or not name.isprintable():
                raise ValueError(f"custom: a type has 1 to {CUSTOM_LENGTH_MAX} printable characters, not {name!a}")
        at_most(AMOUNT_LIMIT, self, "amount_max")

    def bytes_max(self, *, has_user: bool) -> int:
        """Return how many bytes an event may have; an event with a user id may be a forwarded one, with more fields."""
        return self.record_bytes_max + (FORWARDED_BYTES if has_user else 0)
