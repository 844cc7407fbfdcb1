"""Settings of a worker: batch sizes, memory, retention and time-outs; and what it does for windows."""

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


@attrs.frozen
class WindowUpkeepSettings:
    """What a worker does for windows beside counting.

    A partition that nothing has moved on for `idle_ms` is quiet: it is sent ticks, so that it holds no windows open;
    but none where no event has come to any partition for `silence_ms`. Results of final windows are kept for
    `results_keep_ms`. Their panes are deleted `settle_ms` after results were written, where a failover may lose those.
    """

    idle_ms: int = 5_000
    silence_ms: int = 10 * 60_000
    results_keep_ms: int = 90 * 86_400_000
    settle_ms: int = 30_000
