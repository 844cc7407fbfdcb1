"""What a customer says of products."""

import attrs

from realtime_pipeline.domain.profile.changes import APPLIED, Changes, Recorded
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event, ProductId
from realtime_pipeline.domain.shop.review import Review


@attrs.define
class Opinions:
    """A customer's opinions of products: one for each product, the latest.

    `reviewed` maps a product to (rating, when in ms). It keeps the products whose first review arrived last, for
    telling second opinions from new ones: a product that has left counts as new when it is reviewed again.
    """

    reviewed: dict[ProductId, tuple[int, int]] = attrs.Factory(dict)

    def record(self, customer_id: CustomerId, event: Event, settings: ProfileSettings, changes: Changes) -> Recorded:
        """Note a review; return what it adds to the product's ratings.

        An opinion replaces an earlier one of the same product (at the same time: a lower or equal rating). Over
        `reviews_max` the product reviewed first leaves, and its review is taken down.
        """
        product_id, rating, at_ms = event.product_id, event.rating, event.occurred_at_ms
        if product_id is None or rating is None:
            return APPLIED
        known = self.reviewed.get(product_id)
        if known is not None and (at_ms, rating) < (known[1], known[0]):
            return APPLIED
        self.reviewed[product_id] = (rating, at_ms)
        changes.reviews[customer_id, product_id] = Review(customer_id, product_id, rating, event.text, at_ms)
        if len(self.reviewed) > settings.reviews_max:
            earliest = next(iter(self.reviewed))
            del self.reviewed[earliest]
            changes.reviews[customer_id, earliest] = None
        if known is not None:
            return Recorded(Verdict.APPLIED, rating_sum=rating - known[0])
        return Recorded(Verdict.APPLIED, ratings=1, rating_sum=rating)
