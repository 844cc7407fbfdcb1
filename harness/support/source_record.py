"""A line of a file, as every format reads it."""

import attrs


@attrs.frozen
class SourceRecord:
    """A record to publish: its event time, its value, and its origin.

    A line whose time cannot be read has the time None and its original bytes as the value, so that it becomes a dead
    letter. `origin` is the file's name and the number of the line in the decompressed file.
    """

    occurred_at_ms: int | None
    value: bytes
    origin: str
