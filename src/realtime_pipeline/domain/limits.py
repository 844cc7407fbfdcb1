"""Limits: checks of the numbers in settings."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

POWER_MAX: Final = 10
"""The largest exponent of weights: a larger one lets one weight outdo all others, and overflows."""

NUMBER_MAX: Final = 10**13
"""The largest number in settings: 10^13 ms are 317 years, and sums of such numbers fit into 64 bits."""

WEIGHT_MAX: Final = 1_000
"""The largest weight of an action: its sums over all events, in 2^-20, fit into 64 bits."""


def in_bounds(name: str, value: float, least: float, most: float = NUMBER_MAX) -> None:
    """Check that a number, of any size, is from `least` to `most`.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of bounds; the message has the name and the bound.
    """
    if type(value) not in {int, float}:
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not value >= least:  # NaN, too
        raise ValueError(f"{name} must be at least {least:g}, not {shortened(value)}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {shortened(value)}")


def at_least(least: float, settings: attrs.AttrsInstance, *names: str) -> None:
    """Check that the number fields of settings (those of `names`, or all) are from `least` to `NUMBER_MAX`.

    Raises:
        TypeError: a field is no number, or no whole number; the message names the field.
        ValueError: a number is smaller, or too large; the message names the field.
    """
    for name, value in _numbers(settings, names):
        in_bounds(name, value, least)


def at_most(most: float, settings: attrs.AttrsInstance, *names: str) -> None:
    """Check that the number fields of settings (those of `names`, or all) are at most `most`.

    Raises:
        TypeError: a field is no number, or no whole number; the message names the field.
        ValueError: a number is larger; the message names the field.
    """
    for name, value in _numbers(settings, names):
        in_bounds(name, value, -math.inf, most)


def shortened(value: float) -> str:
    """Write a number of any size in a few characters."""
    if -(10**20) < value < 10**20 or not isinstance(value, int):
        return repr(value)
    return f"a number of about {round(value.bit_length() * math.log10(2))} digits"  # writing long ones takes long


def _numbers(settings: attrs.AttrsInstance, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    for field in attrs.fields(type(settings)):
        if field.type not in {int, float} or (names and field.name not in names):
            continue
        value = getattr(settings, field.name)
        if field.type is int and type(value) is not int:
            raise TypeError(f"{field.name} must be a whole number, not {value!r}")
        yield field.name, value
