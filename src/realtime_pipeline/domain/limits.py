"""Checking the numbers of settings."""

import math

import attrs


def at_least(least: float, rules: attrs.AttrsInstance) -> None:
    """Check that every number among the fields of settings is finite and at least so much.

    Raises:
        ValueError: one is not; the message names it.
    """
    for field in attrs.fields(type(rules)):
        value = getattr(rules, field.name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not (value >= least and math.isfinite(value)):
            raise ValueError(f"{field.name} must be at least {least:g}, not {value}")
