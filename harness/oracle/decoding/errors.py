"""What the oracle's decoder says of a record that is a dead letter."""


class RejectedRecord(ValueError):
    """A record is a dead letter; the message is its reason, a code before a colon."""

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(f"{code}: {explanation}")
