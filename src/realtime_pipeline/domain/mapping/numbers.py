"""Reading numbers as shops write them: with a decimal comma, grouped digits, a currency sign."""

import re
import unicodedata
from decimal import Decimal
from typing import Final

_SPACES: Final = " \u00a0\u202f\u2009'\u2019"
_LENGTH_MAX: Final = 64
_CODE: Final = re.compile(r"^[^\W\d_]{1,4}\.?(?=[\s\d(+-])|(?<=[\d\s)])[^\W\d_]{1,4}\.?$")
_PLAIN: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)


def _grouped(decimal: str, group: str) -> re.Pattern[str]:
    separator = f"[{re.escape(group)}{_SPACES}]"
    whole = rf"(?:\d{{1,3}}(?:{separator}\d{{2,3}})*{separator}\d{{3}}|\d+)"
    return re.compile(rf"{whole}?(?:{re.escape(decimal)}\d*)?", re.ASCII)


_GROUPED: Final = {".": _grouped(".", ","), ",": _grouped(",", ".")}


def read_number(value: object, decimal: str = ".") -> Decimal | None:
    """Read a number, exactly; None where it is none.

    Args:
        value: a number, or text: digits that may be grouped by blanks, apostrophes and the other of "." and ",";
            a sign before or after it, or parentheses for a negative number; and a currency's sign or letters on
            either side.
        decimal: what separates the decimals in text, "." or ",".
    """
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        number = Decimal(repr(value))
        return number if number.is_finite() else None
    text = value.strip()
    if len(text) > _LENGTH_MAX:
        return None
    if decimal == "." and _PLAIN.fullmatch(text):
        return Decimal(text)
    return _read_text(text, decimal)


def _read_text(text: str, decimal: str) -> Decimal | None:
    text = "".join(character for character in text if unicodedata.category(character) != "Sc").strip()
    text = _CODE.sub("", text).strip().replace("\u2212", "-")
    is_negative = False
    if text.startswith("(") and text.endswith(")"):
        is_negative, text = True, text[1:-1].strip()
    elif text[:1] in ("-", "+"):
        is_negative, text = text[0] == "-", text[1:].strip()
    elif text[-1:] == "-":
        is_negative, text = True, text[:-1].strip()
    if not any(character.isdigit() for character in text) or not _GROUPED[decimal].fullmatch(text):
        return None
    whole, _, fraction = text.partition(decimal)
    digits = "".join(character for character in whole if character.isdigit())
    number = Decimal(f"{digits or '0'}.{fraction or '0'}") if fraction else Decimal(digits or "0")
    return -number if is_negative else number
