"""From bytes to a JSON object, strictly."""

import json
import math
import re
from typing import Final

from harness.oracle.decoding.errors import RejectedRecord

DEPTH_MAX: Final = 64
"""Levels of objects and lists in a record, the record's own object included."""

_STRUCTURE: Final = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPED_OR_PAIRED: Final = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
"""An escaped backslash, or both halves of a pair."""


def document_in(value: bytes) -> dict[str, object]:
    """Parse a record's bytes; of a name that is written twice, the last value counts.

    Raises:
        RejectedRecord: the bytes are not one JSON object in UTF-8 (without a byte order mark), hold a number that no
            double holds or half of a surrogate pair, or are nested too deeply.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise RejectedRecord("not_json", "the bytes are not UTF-8") from None
    if text.count("[") + text.count("{") > DEPTH_MAX:
        _check_depth(text)
    try:
        document = _PARSER.decode(text)
    except ValueError as error:
        raise RejectedRecord("not_json", str(error)) from None
    if _SURROGATE.search(text) and _SURROGATE.search(_ESCAPED_OR_PAIRED.sub(" ", text)):
        raise RejectedRecord("not_json", "half of a surrogate pair")
    if not isinstance(document, dict):
        raise RejectedRecord("not_an_event", "an event is a JSON object")
    return document


def depth_of(value: object) -> int:
    """Count the levels of objects and lists in a value: 0 for a number or text, 1 for a list of numbers."""
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _check_depth(text: str) -> None:
    """Look at each bracket outside strings once."""
    depth, in_string = 0, False
    for found in _STRUCTURE.finditer(text):
        mark = found.group()
        if mark == '"':
            in_string = not in_string
        elif in_string or mark[0] == "\\":
            continue
        elif mark in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise RejectedRecord("nested", f"more than {DEPTH_MAX} levels")
        else:
            depth -= 1


def _finite(number: str) -> float:
    found = float(number)
    if not math.isfinite(found):
        raise ValueError(f"{number} is larger than a double can be")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_PARSER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
