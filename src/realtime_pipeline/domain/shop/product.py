"""What the shop sells, and what everybody's events together say of it."""

import sys
from typing import Final, NamedTuple, Self

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount, as_number

LastWrite = tuple[str | int, int]
"""A value and when it was last said, in ms. Of two, the later holds; at the same time, the larger value."""


@attrs.frozen
class Product:
    """A product as it is shown to people; whether it is in stock only a catalogue can know."""

    product_id: ProductId
    name: str | None = None
    category: str | None = None
    price: Amount | None = None
    in_stock: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it; the price is in units of the currency.

        Example:
            {"product_id": "mug", "name": "A mug", "category": "kitchen", "price": 12.5, "in_stock": None}
        """
        return {
            "product_id": self.product_id,
            "name": self.name,
            "category": self.category,
            "price": None if self.price is None else as_number(self.price),
            "in_stock": self.in_stock,
        }

    @property
    def title(self) -> str:
        """The name, else the id."""
        return self.name or self.product_id

    def completed_by(self, other: Self) -> Self:
        """Fill what is not known here from `other`."""
        return attrs.evolve(
            self,
            name=self.name or other.name,
            category=self.category or other.category,
            price=self.price if self.price is not None else other.price,
            in_stock=self.in_stock if self.in_stock is not None else other.in_stock,
        )


AHEAD_MAX_MS: Final = 3_600_000
"""A fact that is said to be of a time so much later than the clock comes from a clock that is wrong."""


def last_write_wins(one: LastWrite | None, other: LastWrite | None, latest_ms: int = sys.maxsize) -> LastWrite | None:
    """Merge what two sources said: commutative, associative, idempotent.

    A field is always of one type (name and category text, price a number), so values compare. A fact of a time after
    `latest_ms` holds only as long as there is no other: else one clock that was ahead would decide for years.
    """
    if one is None or other is None:
        return one or other
    if (one[1] > latest_ms) != (other[1] > latest_ms):
        return one if one[1] <= latest_ms else other
    if one[1] != other[1]:
        return one if one[1] > other[1] else other
    return max(one, other)


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
