"""Product: what the shop sells, as people see it."""

from typing import Self

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount, as_number


@attrs.frozen
class Product:
    """The description of a product; None is unknown. `in_stock` comes from a catalogue only."""

    product_id: ProductId
    name: str | None = None
    category: str | None = None
    price: Amount | None = None
    in_stock: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the product as a JSON document; the price is in units of the currency.

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
        """The name; the id if the name is unknown."""
        return self.name or self.product_id

    def completed_by(self, other: Self) -> Self:
        """Return this description with its unknown fields taken from `other`."""
        return attrs.evolve(
            self,
            name=self.name or other.name,
            category=self.category or other.category,
            price=self.price if self.price is not None else other.price,
            in_stock=self.in_stock if self.in_stock is not None else other.in_stock,
        )
