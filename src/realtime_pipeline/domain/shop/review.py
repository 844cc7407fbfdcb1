"""What a customer says of a product."""

import attrs

from realtime_pipeline.domain.shop.events import CustomerId, ProductId

RATINGS = range(1, 6)


@attrs.frozen
class Review:
    """One customer's opinion of one product: the latest by its time (ties: higher rating, later record)."""

    customer_id: CustomerId
    product_id: ProductId
    rating: int
    text: str
    occurred_at_ms: int
