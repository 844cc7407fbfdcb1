"""The error by which the oracle's decoder rejects a record."""


class RejectedRecord(ValueError):
    """A record is a dead letter. The message is its reason: a code, a colon and an explanation."""

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(f"{code}: {explanation}")
