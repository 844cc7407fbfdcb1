"""The result of a request for the products that customers rate highest."""

from collections.abc import Iterable
from typing import Self

import attrs

from realtime_pipeline.domain.shop.product import Product


@attrs.frozen
class TopRated:
    """A product, the Bayesian average of its ratings in stars, and the number of ratings."""

    product: Product
    average: float
    ratings: int

    def as_dict(self) -> dict[str, object]:
        """Return the product as a JSON document; see `Product.as_dict`.

        Example:
            {"product": {"product_id": "mug", ...}, "average": 4.62, "ratings": 13}
        """
        return {"product": self.product.as_dict(), "average": self.average, "ratings": self.ratings}


class TopRatedProducts(tuple[TopRated, ...]):
    """The products rated highest, the best first; `notes` say, a line each, what the filters did."""

    notes: tuple[str, ...]

    def __new__(cls, products: Iterable[TopRated], notes: tuple[str, ...] = ()) -> Self:
        """Make the list of the products."""
        made = super().__new__(cls, products)
        made.notes = notes
        return made

    def as_dict(self) -> dict[str, object]:
        """Return the list as a JSON document.

        Example:
            {"items": [{"product": {"product_id": "mug", ...}, "average": 4.62, "ratings": 13}], "notes": []}
        """
        return {"items": [rated.as_dict() for rated in self], "notes": list(self.notes)}
