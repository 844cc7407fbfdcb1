"""Review: a customer's rating of a product, with a text."""

import attrs

from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.times import utc_text

RATINGS = range(1, 6)


@attrs.frozen
class Review:
    """A customer's latest review of a product, by event time (ties: the higher rating, then the later record).

    `rating` is 1 to 5 stars; `occurred_at_ms` is in ms since 1970.
    """

    customer_id: CustomerId
    product_id: ProductId
    rating: int
    text: str
    occurred_at_ms: int

    def as_dict(self) -> dict[str, object]:
        """Return the review as a JSON document.

        Example:
            {"customer_id": "ada", "product_id": "mug", "rating": 5, "text": "keeps warm",
             "occurred_at": "2025-10-10T01:21:51.250Z"}
        """
        return {
            "customer_id": self.customer_id,
            "product_id": self.product_id,
            "rating": self.rating,
            "text": self.text,
            "occurred_at": utc_text(self.occurred_at_ms),
        }
