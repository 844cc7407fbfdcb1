"""Checking the numbers of settings."""

import math
from typing import Final

import attrs

POWER_MAX: Final = 10
"""A power that takes weights further makes one of them everything, and numbers that cannot be written."""


def at_least(least: float, rules: attrs.AttrsInstance, *names: str) -> None:
    """Check that numbers among the fields of settings, those named or else all, are finite and at least so much.

    Raises:
        ValueError: one is not; the message names it.
    """
    for field in attrs.fields(type(rules)):
        if names and field.name not in names:
            continue
        value = getattr(rules, field.name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not (value >= least and math.isfinite(value)):
            raise ValueError(f"{field.name} must be at least {least:g}, not {value}")
