"""What all customers' events add up to for one product."""

import sys
from typing import NamedTuple, Self

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite, last_write_wins
from realtime_pipeline.domain.shop.money import Amount
from realtime_pipeline.domain.shop.product import Product


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
        """Note what an event said of the product."""
        if name is not None:
            self.name = last_write_wins(self.name, (name, at_ms))
        if category is not None:
            self.category = last_write_wins(self.category, (category, at_ms))
        if price is not None:
            self.price = last_write_wins(self.price, (price, at_ms))

    def merge(self, delta: Self, latest_ms: int = sys.maxsize) -> None:
        """Add a delta; see `later`."""
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


def bayesian_average(ratings: int, rating_sum: int, prior_mean: float, prior_ratings: float) -> float:
    """Rate a product by (C·m + Σ ratings) / (C + n): few ratings count little, C is `prior_ratings`, m `prior_mean`."""
    return (prior_ratings * prior_mean + rating_sum) / (prior_ratings + ratings)
