"""CustomerQueries: the readers' side of cells: customers, their sessions and reviews."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import SessionKey, SessionSummary
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.effects import RecordClass


class CustomerQueries(ABC):
    """Reads what workers have committed. Open to any number of processes; none of them can change a cell.

    A reader sees whole commits only. Methods are called for every request, from any thread; they may block for a round
    trip to the store. Each may raise `Unreachable` where the store is across a network.
    """

    @abstractmethod
    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read the positions of cells; 0 where a cell was never claimed."""

    @abstractmethod
    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers; unknown and forgotten customers are left out."""

    def read_customer(self, customer_id: CustomerId) -> Customer | None:
        """Read a customer; None where it is unknown or forgotten."""
        return self.read_customers([customer_id]).get(customer_id)

    @abstractmethod
    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read summaries of sessions; those that are deleted or expired are left out.

        A session expires `session_retention_ms` after its last event, in event time of its partition (`newest_ms`), at
        most up to `now_ms`, the reader's clock.
        """

    @abstractmethod
    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews, the latest first (ties: by product)."""

    @abstractmethod
    def scan(self) -> Iterator[Customer]:
        """Read every customer, in no particular order, a bounded number at a time."""

    @abstractmethod
    def counts(self) -> Mapping[RecordClass, int]:
        """The number of records folded into each class, over all cells."""
