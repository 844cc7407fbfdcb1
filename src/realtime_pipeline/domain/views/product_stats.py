"""What all customers' events add up to for one product."""

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

import attrs

from realtime_pipeline.domain.profile.changes import Recorded
from realtime_pipeline.domain.profile.contribution import Contribution
from realtime_pipeline.domain.profile.kinds import CANCELLED, CARTED, PURCHASED, REVIEWED, VIEWED
from realtime_pipeline.domain.profile.session import Session
from realtime_pipeline.domain.shop.events import Event, ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite, last_write_wins
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.views.projection import Add, Projection

_INTERACTIONS: Final = (VIEWED, CARTED, PURCHASED)


class ProductStats(NamedTuple):  # hundreds for every list of recommendations
    """How often a product was viewed, carted and bought, how many ratings it has, and their sum."""

    interactions: int
    ratings: int = 0
    rating_sum: int = 0


@attrs.define
class ProductState:
    """What all customers' events add up to for one product; also the delta that one round adds to it.

    Merging is commutative and associative, so neither the order of rounds nor of partitions matters.
    """

    interactions: int = 0
    ratings: int = 0
    rating_sum: int = 0
    name: LastWrite | None = None
    category: LastWrite | None = None
    price: LastWrite | None = None

    def describe(self, name: str | None, category: str | None, price: int | None, at_ms: int) -> None:
        """Note the facts of the product that an event has."""
        fact: LastWrite  # mostly a newer one, which is seen here: this is called for every event
        if name is not None:
            known, fact = self.name, (name, at_ms)
            self.name = fact if known is None or at_ms > known[1] else last_write_wins(known, fact)
        if category is not None:
            known, fact = self.category, (category, at_ms)
            self.category = fact if known is None or at_ms > known[1] else last_write_wins(known, fact)
        if price is not None:
            known, fact = self.price, (price, at_ms)
            self.price = fact if known is None or at_ms > known[1] else last_write_wins(known, fact)

    def merge(self, delta: Self, latest_ms: int = sys.maxsize) -> None:
        """Add a delta. Facts with a time after `latest_ms` give way to any other."""
        self.interactions += delta.interactions
        self.ratings += delta.ratings
        self.rating_sum += delta.rating_sum
        self.name = last_write_wins(self.name, delta.name, latest_ms)
        self.category = last_write_wins(self.category, delta.category, latest_ms)
        self.price = last_write_wins(self.price, delta.price, latest_ms)

    @property
    def stats(self) -> ProductStats:
        """The numbers alone."""
        return ProductStats(self.interactions, self.ratings, self.rating_sum)

    def as_product(self, product_id: ProductId) -> Product:
        """The product as the events describe it."""
        return Product(
            product_id,
            name=None if self.name is None else str(self.name[0]),
            category=None if self.category is None else str(self.category[0]),
            price=None if self.price is None else Amount(int(self.price[0])),
        )


class ProductStates(Projection[ProductId, ProductState]):
    """By product, how often it was viewed, carted and bought, its ratings, and the facts that events have of it.

    Views know a product once this table names it.
    """

    product_of = staticmethod(lambda product_id: product_id)

    def adder(self, table: dict[ProductId, ProductState]) -> Add:
        """Count an interaction or an opinion, and note the facts."""

        def add(event: Event, product_id: ProductId | None, recorded: Recorded) -> None:
            if product_id is None:
                return
            state = table.get(product_id)
            if state is None:
                state = table[product_id] = ProductState()
            kind = event.kind
            price = None if kind is CANCELLED else event.price  # what is taken back may have been paid long ago
            state.describe(event.name, event.category, price, event.occurred_at_ms)
            if kind in _INTERACTIONS:
                state.interactions += 1
            elif kind is REVIEWED:
                state.ratings += recorded.ratings
                state.rating_sum += recorded.rating_sum

        return add

    def retract(self, table: dict[ProductId, ProductState], event: Contribution) -> None:
        """Count an interaction or an opinion out."""
        if event.product_id is None:
            return
        state = table.setdefault(event.product_id, ProductState())
        if event.kind in _INTERACTIONS:
            state.interactions -= 1
        elif event.kind is REVIEWED and event.rating is not None:
            state.ratings -= 1
            state.rating_sum -= event.rating

    def continue_session(self, table: dict[ProductId, ProductState], session: Session, moved: Session) -> None:
        """Name the products of the session."""
        for product_id in moved.products:
            table.setdefault(product_id, ProductState())

    def merge(
        self, table: dict[ProductId, ProductState], other: Mapping[ProductId, ProductState], latest_ms: int
    ) -> None:
        """Add the counts, and keep the latest facts."""
        for product_id, state in other.items():
            table.setdefault(product_id, ProductState()).merge(state, latest_ms)


def bayesian_average(ratings: int, rating_sum: int, prior_mean: float, prior_ratings: float) -> float:
    """Rate a product by (C·m + Σ ratings) / (C + n): few ratings count little, C is `prior_ratings`, m `prior_mean`."""
    return (prior_ratings * prior_mean + rating_sum) / (prior_ratings + ratings)
