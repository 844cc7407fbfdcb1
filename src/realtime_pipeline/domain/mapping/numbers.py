"""Reading numbers as shops write them: with a decimal comma, grouped digits, a currency sign."""

import re
import unicodedata
from decimal import Decimal
from typing import Final

from realtime_pipeline.domain.shop.money import CURRENCIES

_SPACES: Final = " \u00a0\u202f\u2009'\u2019"
_LENGTH_MAX: Final = 64
_NO_DECIMALS: Final = (",-", ".-")
"""What may be written for no decimals: 100,- is 100."""
_BEFORE: Final = re.compile(r"([^\W\d_]{1,4})(\.?)")
_BEHIND: Final = re.compile(r"([^\W\d_]{1,4})(\.?)$")
_ABBREVIATIONS: Final = frozenset(
    (
        *("kr", "kč", "kc", "zł", "zl", "fr", "sfr", "ft", "lei", "lv", "лв", "r", "rs", "rm", "rp", "tl"),
        *("din", "kn", "km", "dh", "руб", "р", "ден", "грн", "rmb"),
    )
)
"""Letters that mean a currency. Others are none: "5k" is 5,000, and "50p" is half a pound."""
_BEFORE_SIGN: Final = frozenset(("us", "a", "au", "c", "ca", "nz", "hk", "nt", "s", "r", "mx"))
"""Letters before a sign, as in US$."""
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
    if isinstance(value, str):
        text = value.strip()
        if decimal == "." and len(text) <= _LENGTH_MAX and _PLAIN.fullmatch(text):
            return Decimal(text)
        return _read_text(text, decimal) if len(text) <= _LENGTH_MAX else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def _read_text(text: str, decimal: str) -> Decimal | None:
    text, sign, has_currency = text.replace("\u2212", "-"), "", False
    for _ in range(2):  # the currency may be on either side of the sign
        if not sign:
            text, sign = _cut_sign(text)
        if not has_currency:
            text, has_currency = _cut_currency(text)
    if not any(character.isdigit() for character in text) or not _GROUPED[decimal].fullmatch(text):
        return None
    whole, _, fraction = text.partition(decimal)
    digits = "".join(character for character in whole if character.isdigit())
    number = Decimal(f"{digits or '0'}.{fraction or '0'}") if fraction else Decimal(digits or "0")
    return -number if sign == "-" else number


def _cut_sign(text: str) -> tuple[str, str]:
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].strip(), "-"
    if text[:1] in ("-", "+"):
        return text[1:].strip(), text[0]
    if text.endswith(_NO_DECIMALS):
        return text[:-2], ""
    return (text[:-1].strip(), "-") if text.endswith("-") else (text, "")


def _cut_currency(text: str) -> tuple[str, bool]:
    """Cut a currency's sign, code or letters off one end."""
    if _is_sign(text[:1]):
        return text[1:].strip(), True
    if _is_sign(text[-1:]):
        return text[:-1].strip(), True
    before = _BEFORE.match(text)
    if before is not None:
        rest = text[before.end() :].strip()
        if before[1].casefold() in _BEFORE_SIGN and _is_sign(rest[:1]):
            return rest[1:].strip(), True
        return (rest, True) if _is_currency(before) else (text, False)
    behind = _BEHIND.search(text)
    return (text[: behind.start()].strip(), True) if behind is not None and _is_currency(behind) else (text, False)


def _is_sign(character: str) -> bool:
    return character != "" and unicodedata.category(character) == "Sc"


def _is_currency(found: re.Match[str]) -> bool:
    """Whether letters mean a currency: a code, or an abbreviation, which may end in a point."""
    return found[1].casefold() in _ABBREVIATIONS or (found[1].upper() in CURRENCIES and not found[2])
