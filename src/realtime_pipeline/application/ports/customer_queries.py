"""What readers ask of cells: customers, their sessions and reviews."""

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
        """Read where cells stand; 0 for one that was never claimed."""

    @abstractmethod
    def read_customers(self, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        """Read customers; those never seen or forgotten are left out."""

    def read_customer(self, customer_id: CustomerId) -> Customer | None:
        """Read a customer; None for one never seen or forgotten."""
        return self.read_customers([customer_id]).get(customer_id)

    @abstractmethod
    def session_summaries(
        self, keys: Collection[SessionKey], now_ms: int = END_OF_TIME
    ) -> dict[SessionKey, SessionSummary]:
        """Read what sessions leave for others; those that are gone are left out, and those that have expired.

        How long a session is kept is a setting of the store, counted in event time of its partition (`newest_ms`), and
        at most up to `now_ms`, the reader's clock.
        """

    @abstractmethod
    def reviews(self, customer_id: CustomerId) -> list[Review]:
        """Read a customer's reviews, the latest first (ties: by product)."""

    @abstractmethod
    def scan(self) -> Iterator[Customer]:
        """Read every customer, in no particular order, holding a bounded number at a time."""

    @abstractmethod
    def counts(self) -> Mapping[RecordClass, int]:
        """How many records were folded into each class, over all cells."""
