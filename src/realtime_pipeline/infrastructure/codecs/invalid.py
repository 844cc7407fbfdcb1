"""What makes a record a dead letter."""


class Invalid(Exception):
    """Some part of an event is not what it must be; the message is the reason."""
