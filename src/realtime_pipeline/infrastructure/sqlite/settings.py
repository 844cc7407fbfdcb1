"""LogRetentionSettings: for how long the log in SQLite keeps its records."""

import attrs

from realtime_pipeline.domain.limits import at_least


@attrs.frozen
class LogRetentionSettings:
    """Which records of the log in SQLite are kept; others are removed once they are processed.

    Those older than `age_ms` go, by when they were appended; and the oldest ones, while keys and values of all records
    take more than `bytes_max`. 0 is no limit: of both, everything is kept.
    """

    age_ms: int = 0
    bytes_max: int = 0

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
