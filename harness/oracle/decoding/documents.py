"""Parses bytes as a JSON object, strictly."""

import json
import math
import re
from typing import Final

from harness.oracle.decoding.errors import RejectedRecord

DEPTH_MAX: Final = 64
"""Levels of objects and lists in a record, including the record's own object."""

_STRUCTURE: Final = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPED_OR_PAIRED: Final = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
"""An escaped backslash, or both halves of a pair."""


def parse_document(value: bytes) -> dict[str, object]:
    """Parse a record's bytes. Where a name is written twice, the last value counts.

    Raises:
        RejectedRecord: the bytes are not a JSON object in UTF-8 without a byte order mark, contain a number that does
            not fit a double or half of a surrogate pair, or are nested too deeply.
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
    while level := [container for container in level if isinstance(container, dict | list)]:
        depth += 1
        level = [
            inner for container in level for inner in (container.values() if isinstance(container, dict) else container)
        ]
    return depth


def _check_depth(text: str) -> None:
    """Count the brackets outside strings."""
    depth, in_string = 0, False
    for match in _STRUCTURE.finditer(text):
        symbol = match.group()
        if symbol == '"':
            in_string = not in_string
        elif in_string or symbol[0] == "\\":
            continue
        elif symbol in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise RejectedRecord("nested", f"more than {DEPTH_MAX} levels")
        else:
            depth -= 1


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} does not fit a double")
    return value


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_PARSER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_reject_constant)
