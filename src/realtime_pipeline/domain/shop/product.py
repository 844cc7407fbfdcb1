"""Product: what the shop sells, as people see it."""

from typing import Self

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import Amount, as_number


@attrs.frozen
class Product:
    """The description of a product; None is unknown.

    What follows the price comes from a catalogue only: `stock` is the number of units left. `is_removed` says that the
    shop no longer sells the product; it is not recommended.
    """

    product_id: ProductId
    name: str | None = None
    category: str | None = None
    price: Amount | None = None
    in_stock: bool | None = None
    stock: int | None = None
    image_url: str | None = None
    text: str | None = None
    is_removed: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the product as a JSON document; the price is in units of the currency.

        Example:
            {"product_id": "mug", "name": "A mug", "category": "kitchen", "price": 12.5, "in_stock": true, "stock": 4,
             "image_url": "https://shop.example/mug.png", "text": "Holds 300 ml."}
        """
        return {
            "product_id": self.product_id,
            "name": self.name,
            "category": self.category,
            "price": None if self.price is None else as_number(self.price),
            "in_stock": self.in_stock,
            "stock": self.stock,
            "image_url": self.image_url,
            "text": self.text,
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
            stock=self.stock if self.stock is not None else other.stock,
            image_url=self.image_url or other.image_url,
            text=self.text or other.text,
            is_removed=self.is_removed or other.is_removed,
        )
