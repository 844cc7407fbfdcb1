"""Values of Postgres, as it writes them, as values of JSON documents."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Final

Convert = Callable[[str], object]

INTEGER_OIDS: Final = frozenset((20, 21, 23, 26))
"""int8, int2, int4, oid."""

ARRAYS: Final = {
    1000: 16,
    1005: 21,
    1007: 23,
    1016: 20,
    1028: 26,
    1009: 25,
    1014: 1042,
    1015: 1043,
    1021: 700,
    1022: 701,
    1115: 1114,
    1185: 1184,
    1182: 1082,
    1231: 1700,
    199: 114,
    3807: 3802,
    2951: 2950,
}
"""The element types of built-in array types."""

ARRAY_DEPTH_MAX: Final = 6
"""MAXDIM of Postgres."""


def converter(type_oid: int) -> Convert:
    """How values of a type are read; values of a type that is not known stay text."""
    if type_oid in ARRAYS:
        element = converter(ARRAYS[type_oid])
        return lambda text: array(text, element)
    return _CONVERTERS.get(type_oid, _as_it_is)


def _as_it_is(text: str) -> object:
    return text


def _is_true(text: str) -> bool:
    return text == "t"


def _number(read: Callable[[str], object]) -> Convert:
    def convert(text: str) -> object:
        return text if text[-1] in "Nny" else read(text)  # NaN, Infinity and -Infinity are no JSON

    return convert


def iso_time(text: str) -> str:
    """Write a time in ISO 8601, a zone with its minutes; `infinity` and years before Christ stay as they are."""
    if len(text) < 19 or text[10] != " " or text.endswith("BC"):
        return text
    day, _, time = text.partition(" ")
    zone_at = max(time.find("+"), time.find("-"))
    if zone_at >= 0 and len(time) - zone_at == 3:
        time += ":00"
    return f"{day}T{time}"


def json_document(text: str) -> object:
    """Read json or jsonb, fractions digit for digit; what is nested too deep, or has too long numbers, stays text."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return text


def array(text: str, element: Convert) -> object:
    """Read an array into lists; a bound that is not 1, as in `[0:1]={1,2}`, leaves it text."""
    if not text.startswith("{"):
        return text
    value, end = _array(text, 0, element, 1)
    return value if end == len(text) else text


def _array(text: str, at: int, element: Convert, depth: int) -> tuple[list[object], int]:
    values: list[object] = []
    at += 1
    while text[at] != "}":
        if text[at] == ",":
            at += 1
        elif text[at] == "{" and depth < ARRAY_DEPTH_MAX:
            value, at = _array(text, at, element, depth + 1)
            values.append(value)
        elif text[at] == '"':
            string, at = _quoted(text, at + 1)
            values.append(element(string))
        else:
            begin = at
            while text[at] not in ",}":
                at += 1
            string = text[begin:at]
            values.append(None if string == "NULL" else element(string))
    return values, at + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    parts = []
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
        parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


_CONVERTERS: Final[dict[int, Convert]] = {
    **dict.fromkeys(INTEGER_OIDS, int),
    **dict.fromkeys((700, 701), _number(float)),
    1700: _number(Decimal),
    16: _is_true,
    1114: iso_time,
    1184: iso_time,
    114: json_document,
    3802: json_document,
}
