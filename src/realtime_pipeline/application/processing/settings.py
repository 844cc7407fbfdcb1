"""WorkerSettings: batch sizes, memory, outbox retention and time-outs of a worker."""

import attrs

from realtime_pipeline.domain.limits import at_least, at_most


@attrs.frozen
class WorkerSettings:
    """Limits of a worker.

    A round polls at most `round_records_max` records and waits `idle_wait_ms` for the first. `cached_customers_max`
    bounds the customers in memory, over all partitions; the least recently used are evicted. Outbox entries are trimmed
    after `outbox_retention_ms`; while they take more than `outbox_bytes_max` of the store, the worker applies
    back-pressure and polls nothing. A worker that cannot reach log or store for `give_up_after_ms` ends.
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
