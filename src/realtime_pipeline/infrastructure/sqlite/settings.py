"""Settings of the retention of the log in SQLite."""

import attrs

from realtime_pipeline.domain.limits import at_least


@attrs.frozen
class LogRetentionSettings:
    """How long the log in SQLite retains records; expired records are deleted once they are processed.

    A record expires `age_ms` after it was appended. The oldest records also expire while the keys and values of all
    records have more than `bytes_max` bytes. 0 is no limit; with both limits 0 every record is retained.
    """

    age_ms: int = 0
    bytes_max: int = 0

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
