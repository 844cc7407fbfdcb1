"""Reading the value of a field of an event out of a record: from paths, with what is done to text and numbers."""

from collections.abc import Callable, Sequence
from decimal import Context, DecimalException
from typing import Any, Final

from realtime_pipeline.domain.conditions import is_present
from realtime_pipeline.domain.mapping.definitions import MONEY, NUMBERS, EventMapping, Field, as_paths
from realtime_pipeline.domain.mapping.mapped import Unmappable
from realtime_pipeline.domain.mapping.numbers import read_number
from realtime_pipeline.domain.paths import Get, Scope, compile_path

EXACT: Final = Context(prec=200)
"""Sums and products of numbers of 64 digits are exact."""
_DIGITS_MAX: Final = 18
_IsThere = Callable[[object], bool]


def value_reader(name: str, field: Field, variables: Sequence[str], mapping: EventMapping) -> Get:
    """Compile where one of our fields comes from.

    The reader returns None for what is absent, null, "", [], {} or one of the mapping's `absent`. What should be a
    number and is none stays as it is: the decoder says whether that matters.
    """
    is_there = _presence(mapping.absent)
    read = _as_written(field, variables, is_there)
    if name not in NUMBERS and not (field.times or field.minus):
        return read
    return _number(read, name, field, mapping.decimal, variables, is_there)


def _presence(absent: Sequence[str]) -> _IsThere:
    if not absent:
        return is_present
    texts = frozenset(absent)
    return lambda value: is_present(value) and not (isinstance(value, str) and value in texts)


def _as_written(field: Field, variables: Sequence[str], is_there: _IsThere) -> Get:
    if field.constant is not None:
        return lambda _: field.constant
    if field.join:
        parts = [_first_of(as_paths(part), variables, is_there) for part in field.join]

        def join(scope: Scope) -> object:
            values = [part(scope) for part in parts]
            return field.by.join(map(as_text, values)) if None not in values else None

        return _edited(join, field)
    return _edited(_first_of(field.paths, variables, is_there), field)


def _first_of(paths: Sequence[str], variables: Sequence[str], is_there: _IsThere) -> Get:
    """Read the first of several paths that has a value."""
    gets = [compile_path(path, variables) for path in paths]
    if len(gets) == 1:
        only = gets[0]
        return lambda scope: value if is_there(value := only(scope)) else None
    return lambda scope: next((value for get in gets if is_there(value := get(scope))), None)


def as_text(value: Any) -> str:
    """A value as text; a whole number has no decimals, however it is written, and true and false are those of JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _edited(read: Get, field: Field) -> Get:
    if not (field.remove_prefix or field.remove_suffix or field.until or field.prefix):
        return read

    def edit(scope: Scope) -> object:
        value = read(scope)
        if isinstance(value, str):
            text = value.removeprefix(field.remove_prefix).removesuffix(field.remove_suffix)
            value = (text.partition(field.until)[0] if field.until else text) or None
        if value is None or not field.prefix or isinstance(value, list | dict):
            return value
        return field.prefix + as_text(value)

    return edit


def _number(read: Get, name: str, field: Field, decimal: str, variables: Sequence[str], is_there: _IsThere) -> Get:
    is_whole = name in NUMBERS and name not in MONEY
    factors = [compile_path(path, variables) for path in as_paths(field.times)]
    subtrahends = [compile_path(path, variables) for path in as_paths(field.minus)]

    def read_as_number(scope: Scope) -> object:
        value = read(scope)
        if value is None:
            return None
        number = read_number(value, decimal)
        if number is None:
            return value
        try:
            for factor in _values(factors, scope, is_there):
                found = read_number(factor, decimal)
                if found is None:
                    return factor
                number = EXACT.multiply(number, found)
            for subtrahend in _values(subtrahends, scope, is_there):
                found = read_number(subtrahend, decimal)
                if found is None:
                    return subtrahend
                number = EXACT.subtract(number, found)
        except DecimalException:
            raise Unmappable(f"invalid_{name}: it is too large") from None
        if field.absolute:
            number = number.copy_abs()
        is_integer = is_whole and number.adjusted() < _DIGITS_MAX and number == number.to_integral_value()
        return int(number) if is_integer else number

    return read_as_number


def _values(paths: Sequence[Get], scope: Scope, is_there: _IsThere) -> list[object]:
    """All values of paths that are present, those of lists one by one."""
    found: list[object] = []
    for path in paths:
        value = path(scope)
        found += value if isinstance(value, list | tuple) else (value,)
    return [value for value in found if is_there(value)]
