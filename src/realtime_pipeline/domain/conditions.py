"""Conditions on single fields, as data: which records a rule is for."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final

import attrs

Scalar = str | int | float | bool
Check = Callable[[object], bool]
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def is_present(value: object) -> bool:
    """Whether a field has a value: null, "", [] and {} are none."""
    return value not in _EMPTY


@attrs.frozen
class FieldTest:
    """A test of one field; all parts that are set must hold.

    `present` asks whether the field has a value (null, "", [] and {} are none). `one_of` compares values, a number also
    with its text. `prefix` is for text. `at_least` and `at_most` are for numbers, also written as text.
    """

    one_of: tuple[Scalar, ...] = ()
    prefix: str = ""
    at_least: float | None = None
    at_most: float | None = None
    present: bool | None = None

    def __attrs_post_init__(self) -> None:
        if not (self.one_of or self.prefix) and (self.at_least, self.at_most, self.present) == (None, None, None):
            raise ValueError("a condition needs one_of, prefix, at_least, at_most or present")
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None and not isfinite(bound):
                raise ValueError(f"{name} must be a number, not {bound}")

    def check(self) -> Check:
        """Compile the test to a function of the field's value."""
        wanted = {(type(value) is bool, _text(value)) for value in self.one_of}
        # As they are written: 0.1 in binary is a little more than 0.1.
        least = None if self.at_least is None else Decimal(repr(self.at_least))
        most = None if self.at_most is None else Decimal(repr(self.at_most))

        def holds(value: object) -> bool:
            if self.present is not None and is_present(value) is not self.present:
                return False
            if wanted and (value is None or (type(value) is bool, _text(value)) not in wanted):
                return False
            if self.prefix and not (isinstance(value, str) and value.startswith(self.prefix)):
                return False
            if least is None and most is None:
                return True
            number = _number(value)
            return number is not None and (least is None or number >= least) and (most is None or number <= most)

        return holds


Condition = Scalar | tuple[Scalar, ...] | FieldTest
"""What a field must be: a value, one of several, or what a test asks for."""


def check_of(condition: Condition) -> Check:
    """Compile a condition to a function of the field's value."""
    if isinstance(condition, FieldTest):
        return condition.check()
    return FieldTest(one_of=condition if isinstance(condition, tuple) else (condition,)).check()


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
