"""Reads single values: ids, whole numbers, money and labels."""

import re
import unicodedata
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final

from harness.oracle.decoding.errors import RejectedRecord

ID_LENGTH_MAX: Final = 128
ID_BITS_MAX: Final = 430
"""A number of 128 digits has at most 426."""
TEN_THOUSANDTHS: Final = 10_000

_JOINER: Final = "\u200d"
_VARIATION_SELECTORS: Final = re.compile("[\ufe0e\ufe0f]")
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)


def identifier(value: object, name: str) -> str | None:
    """Read an id: text, or a whole number as decimal text. A value that is absent, null or "" gives None.

    Raises:
        RejectedRecord: the value is of another type, longer than 128 characters or not printable.
    """
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else _decimal_text(value)
    if text is None or not is_id(text):
        raise RejectedRecord(f"invalid_{name}", f"{name} is text of 1 to {ID_LENGTH_MAX} printable characters")
    return text


def is_id(text: str) -> bool:
    """Whether text may be an id: at most 128 characters, all printable."""
    return len(text) <= ID_LENGTH_MAX and (text.isprintable() or _is_printable_with_emoji(text))


def whole_number(value: object) -> int | None:
    """A whole number, also written `2.0`; None for any other value."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def label(value: object, length_max: int) -> str | None:
    """Text, or a number as text, cut at `length_max` characters; any other value and "" are None."""
    if isinstance(value, str):
        return value[:length_max] or None
    whole = whole_number(value)
    if whole is not None:
        return str(whole)[:length_max]
    return repr(value)[:length_max] if type(value) is float else None


def money(value: object, quantity: int, amount_max: int) -> Decimal | None:
    """The exact value of a price or an amount, in units of the currency.

    None where it is not a number from 0, or where `quantity` times the value is more than `amount_max`.
    """
    if (type(value) is not int and type(value) is not float) or not 0 <= value <= amount_max:
        return None
    exact = Decimal(repr(value))
    return exact if _EXACT.multiply(exact, Decimal(quantity)) <= amount_max else None


def ten_thousandths(exact: Decimal, quantity: int = 1) -> int:
    """`quantity` times a number, rounded once, half to even, to ten-thousandths."""
    product = _EXACT.multiply(exact, Decimal(quantity * TEN_THOUSANDTHS))
    return int(product.to_integral_value(ROUND_HALF_EVEN))


def ten_thousandths_of_each(exact: Decimal, quantity: int) -> int:
    """A number divided by `quantity`, rounded once, half to even, to ten-thousandths."""
    return round(Fraction(exact) * TEN_THOUSANDTHS / quantity)


def _decimal_text(value: object) -> str | None:
    whole = whole_number(value)
    return None if whole is None or whole.bit_length() > ID_BITS_MAX else str(whole)


def _is_printable_with_emoji(text: str) -> bool:
    """Whether all characters that cannot be printed are joiners between two symbols."""
    pieces = _VARIATION_SELECTORS.sub("", text).split(_JOINER)
    return (
        "".join(pieces).isprintable()
        and all(_is_symbol(piece[-1:]) for piece in pieces[:-1])
        and all(_is_symbol(piece[:1]) for piece in pieces[1:])
    )


def _is_symbol(character: str) -> bool:
    return character != "" and unicodedata.category(character).startswith("S")
