"""Retained data: what no store can erase of a customer, as codes and numbers."""

from enum import StrEnum

import attrs


class RetainedCode(StrEnum):
    """Which data stays after an erasure."""

    LOG = "log"
    """The records in the log, `until` their retention ends."""
    OUTBOX = "outbox"
    """The outbox of each commit, for `for_ms` ms and until a worker runs after that."""
    AGGREGATES = "aggregates"
    """The counts of products over all customers: views, purchases, ratings."""
    DIGEST = "digest"
    """A digest of the id with the time of the erasure, so that a replay of the log brings nothing back."""
    SESSION_KEYS = "session_keys"
    """Keys of erased sessions in the lists of products, until newer sessions push them out."""
    UNATTRIBUTED_DEAD_LETTERS = "unattributed_dead_letters"
    """Dead letters whose customer cannot be read, such as truncated lines."""
    MISROUTED_DEAD_LETTERS = "misrouted_dead_letters"
    """`count` dead letters of the customer in a partition of other customers."""
    DEAD_LETTERS = "dead_letters"
    """`count` dead letters of the customer, `until` the retention of their topic ends."""
    LATE_EVENTS = "late_events"
    """`count` late events of the customer, `until` the retention of their topic ends."""


class RetainedUntil(StrEnum):
    """What ends the retention of data."""

    PROCESS_ENDS = "process_ends"
    TOPIC_RETENTION = "topic_retention"
    LOG_RETENTION = "log_retention"
    """The setting `log_retention`; backups of the file until they are deleted."""
    FILE_DELETED = "file_deleted"


@attrs.frozen
class Retained:
    """Data that stays after an erasure.

    `where` is a file or topic, `until` what ends the retention, `for_ms` its length in ms, `count` how many records;
    None where the code has no such parameter.
    """

    code: RetainedCode
    until: RetainedUntil | None = None
    where: str | None = None
    for_ms: int | None = None
    count: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the code and its parameters as a JSON document.

        Example:
            {"code": "log", "until": "file_deleted", "where": "shop.db"}
        """
        return {
            name: value.value if isinstance(value, StrEnum) else value
            for name, value in attrs.asdict(self).items()
            if value is not None
        }


ALWAYS_RETAINED = (
    Retained(RetainedCode.AGGREGATES),
    Retained(RetainedCode.DIGEST),
    Retained(RetainedCode.SESSION_KEYS),
    Retained(RetainedCode.UNATTRIBUTED_DEAD_LETTERS),
)
"""What stays after every erasure, whatever the log and the store."""
