"""The error that makes a record a dead letter."""


class Invalid(Exception):
    """An event is invalid; the message is the reason of the dead letter, and begins with its code."""
