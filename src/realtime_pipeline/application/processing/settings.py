"""WorkerSettings: what a worker may take, and for how long it waits."""

import attrs

from realtime_pipeline.domain.limits import at_least, at_most


@attrs.frozen
class WorkerSettings:
    """How much a worker takes on at once, and how long it waits.

    `cached_customers_max` bounds its memory, over all its partitions. Entries for the readers are kept for
    `outbox_retention_ms`, so that a reader which loses what it had can be served again; when they take more than
    `outbox_bytes_max` of the store, the worker waits (back-pressure). After `give_up_after_ms` without log or store it
    gives up.
    """

    round_records_max: int = 10_000
    cached_customers_max: int = 20_000
    idle_wait_ms: int = 20
    outbox_retention_ms: int = 30_000
    outbox_bytes_max: int = 512 << 20
    give_up_after_ms: int = 600_000

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_least(1, self, "round_records_max", "cached_customers_max", "idle_wait_ms")
        at_most(1_000_000, self, "round_records_max")
        at_most(60_000, self, "idle_wait_ms")
