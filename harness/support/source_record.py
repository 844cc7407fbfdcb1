"""What every reader of files hands on."""

import attrs


@attrs.frozen
class SourceRecord:
    """One line of a file as a record to append: when it happened, what to append, and where it stood.

    A line whose time cannot be read carries None and its original bytes, so that it ends as a dead letter that
    somebody can look at. `origin` is the file's name and the number of the line in its decompressed content.
    """

    occurred_at_ms: int | None
    value: bytes
    origin: str
