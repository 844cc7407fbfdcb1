"""A projection: what every event adds to one table that all customers share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.session import Session
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId

K = TypeVar("K")
V = TypeVar("V")
Add = Callable[[Event, ProductId | None, Recorded], None]
"""Adds an applied event to a table: the event, its product, and what its customer returned for it."""


class Projection(ABC, Generic[K, V]):
    """How one table of deltas grows and merges. The table is a dictionary; each of its keys belongs to one product.

    A projection keeps nothing itself. Merging must be commutative and associative, and leave `other` as it is: neither
    the order of rounds nor of partitions matters. Which view cell a key goes to follows from its product.
    """

    product_of: Callable[[K], ProductId]
    """The product that a key belongs to; called for every key of every round."""
    kinds: frozenset[EventKind] | None = None
    """The kinds of events that can add something; None where any can."""

    @abstractmethod
    def adder(self, table: dict[K, V]) -> Add | None:
        """The function that adds an applied event to a table; None where no event adds anything.

        Made once for each table, called for every event of its `kinds` but sign-ins, forgettings and excluded events.
        """

    @abstractmethod
    def merge(self, table: dict[K, V], other: Mapping[K, V], latest_ms: int) -> None:
        """Add another range's deltas. Facts with a time after `latest_ms` give way to any other."""

    def retract(self, table: dict[K, V], event: Contribution) -> None:
        """Take out what a visitor's event has added."""

    def continue_session(self, table: dict[K, V], session: Session, moved: Session) -> None:
        """Note that a visitor's session, `moved`, is part of a customer's session now."""
