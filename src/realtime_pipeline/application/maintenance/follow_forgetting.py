"""FollowForgetting: read how far the erasure of a customer has come, in every partition."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from threading import Lock
from typing import Final

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries

HOPS: Final = 3
"""How often one record leads to another: an earlier sign-in leads to a message to the customer, and this message to one
to the visitor. Each is in the log once the partition of the record before it has been processed."""
FOLLOWED_MAX: Final = 1_000
"""How many erasures this process follows at a time."""


class Progress(StrEnum):
    """How far the workers have come with an erasure."""

    QUEUED = "queued"
    """The owner of the customer's partition has not processed the request yet."""
    FOLLOWED = "followed"
    """The owner has erased the customer; the views, the outputs or the owners of visitors have not followed yet."""
    PROCESSED = "processed"
    """The request and all that follows from it are processed."""


class FollowForgetting:
    """Compares the positions of cells, views and outputs with the ends of the log.

    The first call for an erasure notes the ends to wait for, in this process, for the last 1,000 erasures.
    """

    def __init__(
        self, log: Callable[[], EventLog], customers: CustomerQueries, products: ProductQueries, outputs: Outputs
    ) -> None:
        self._log = log
        self._customers = customers
        self._products = products
        self._outputs = outputs
        self._waiting: dict[tuple[int, int], tuple[int, Mapping[int, int]]] = {}
        self._lock = Lock()

    def __call__(self, partition: int, position: int) -> tuple[Progress, int]:
        """Return the progress of the record at a position, and how many records its owner processes before it."""
        cell_position = self._customers.positions([partition])[partition]
        if cell_position <= position:
            return Progress.QUEUED, position - cell_position
        followers = (*self._products.positions([partition])[partition], self._outputs.positions([partition])[partition])
        if min(followers) <= position or not self._has_settled(partition, position):
            return Progress.FOLLOWED, 0
        return Progress.PROCESSED, 0

    def end_of(self, partition: int) -> int:
        """Return the position after the last record of a partition."""
        return self._log().ends([partition])[partition]

    def _has_settled(self, partition: int, position: int) -> bool:
        """Whether every partition has been processed up to its end, and the records that this appended, too.

        Each hop notes the ends of the log when the hop before it has been processed.
        """
        with self._lock:
            hop, ends = self._waiting.pop((partition, position), (0, {}))
            while hop < HOPS:
                ends = ends or self._ends()
                if not self._are_processed(ends):
                    break
                hop, ends = hop + 1, {}
            self._waiting[partition, position] = hop, ends
            if len(self._waiting) > FOLLOWED_MAX:
                del self._waiting[next(iter(self._waiting))]
        return hop == HOPS

    def _ends(self) -> Mapping[int, int]:
        log = self._log()
        return log.ends(range(log.identity.partitions))

    def _are_processed(self, ends: Mapping[int, int]) -> bool:
        cells, outputs = self._customers.positions(ends.keys()), self._outputs.positions(ends.keys())
        return all(min(cells[number], outputs[number]) >= end for number, end in ends.items())
