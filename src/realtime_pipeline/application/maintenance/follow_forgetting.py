"""FollowForgetting: see whether all that follows from a record of the log is done, in every partition."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from threading import Lock
from typing import Final

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries

HOPS: Final = 3
"""A sign-in that lay in the log before the forgetting leads to a message to the customer, and that one to a message to
the visitor: each lies in the log once the partition of the one before it is processed."""
FOLLOWED_MAX: Final = 1_000


class Progress(StrEnum):
    """How far the workers have come with a forgetting."""

    QUEUED = "queued"
    """The owner of the customer has not come to it yet."""
    FOLLOWED = "followed"
    """The owner has erased the customer; the views, the outputs or the owners of visitors have yet to follow."""
    PROCESSED = "processed"
    """All that follows from it is done."""


class FollowForgetting:
    """Compares where cells, views and outputs stand with where the log ends.

    The ends that are waited for are those of when somebody asked first; they are kept in this process, of the last
    1,000 forgettings asked for.
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
        """Say how far the workers have come with a record, and how many records its owner has yet to fold before it."""
        stands_at = self._customers.positions([partition])[partition]
        if stands_at <= position:
            return Progress.QUEUED, position - stands_at
        follow = (*self._products.positions([partition])[partition], self._outputs.positions([partition])[partition])
        if min(follow) <= position or not self._is_through(partition, position):
            return Progress.FOLLOWED, 0
        return Progress.PROCESSED, 0

    def end_of(self, partition: int) -> int:
        """The position after the last record of a partition."""
        return self._log().ends([partition])[partition]

    def _is_through(self, partition: int, position: int) -> bool:
        """Whether every partition has been processed up to its end as of now, and so on for what was appended by that.

        Each of the hops begins when the one before it has ended.
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
