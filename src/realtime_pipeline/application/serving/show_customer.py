"""ShowCustomer: the profile of one customer, with reviews and descriptions of its products."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import UnknownCustomer
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.resolve_customers import resolve_customer
from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.money import as_number
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.shop.times import utc_text


@attrs.frozen
class Profile:
    """A customer's profile, for reading.

    `categories` are pairs of name and affinity, the highest affinity first. `recent` are the products touched last, the
    latest first. `products` describes the products of `recent` and `reviews`. `customer.visits.excluded` is how many
    of the events count for this profile alone: `quality.exclude`.
    """

    customer: Customer
    categories: tuple[tuple[str, float], ...]
    recent: tuple[Product, ...]
    reviews: Sequence[Review]
    products: Mapping[ProductId, Product]

    def as_dict(self) -> dict[str, object]:
        """Return the profile as a JSON document: times in UTC, money in units of the currency, events by kind.

        Example:
            {"customer_id": "ada", "first_seen": "2025-10-10T01:21:51.250Z", "last_seen": "2025-10-10T01:30:02.000Z",
             "events": {"product_viewed": 3, "product_purchased": 1}, "excluded": 0,
             "spend": 12.5, "units": 1, "orders": 1, "sessions": 1, "country": "DE", "visitors": [],
             "categories": [{"category": "kitchen", "affinity": 8.0}],
             "recent": [{"product": {"product_id": "mug", ...}, "touched_at": "2025-10-10T01:30:02.000Z"}],
             "bought": [{"product_id": "mug", "units": 1, "last_at": "2025-10-10T01:30:02.000Z"}],
             "reviews": [{"customer_id": "ada", "product_id": "mug", "rating": 5, ...}]}
        """
        customer, visits, purchases = self.customer, self.customer.visits, self.customer.purchases
        return {
            "customer_id": customer.customer_id,
            "first_seen": _time(visits.first_seen_ms),
            "last_seen": _time(visits.last_seen_ms),
            "events": {kind.value: count for kind, count in visits.counts.items()},
            "excluded": visits.excluded,
            "spend": as_number(purchases.spend),
            "units": purchases.units,
            "orders": purchases.orders_placed,
            "sessions": visits.sessions_begun,
            "country": None if visits.country is None else visits.country[0],
            "visitors": list(customer.aliases.visitors),
            "categories": [{"category": name, "affinity": affinity} for name, affinity in self.categories],
            "recent": [
                {"product": product.as_dict(), "touched_at": _time(customer.interests.recent.get(product.product_id))}
                for product in self.recent
            ],
            "bought": [
                {"product_id": product_id, "units": units, "last_at": utc_text(last_ms)}
                for product_id, (units, last_ms) in purchases.by_product.items()
                if units > 0
            ],
            "reviews": [review.as_dict() for review in self.reviews],
        }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else utc_text(at_ms)


class ShowCustomer:
    """Reads a customer's profile, by any of their ids."""

    def __init__(
        self, customers: CustomerQueries, cache: SharedCache, affinity_half_life_ms: int, recent_products_max: int
    ) -> None:
        self._customers = customers
        self._cache = cache
        self._affinity_half_life_ms = affinity_half_life_ms
        self._recent_products_max = recent_products_max

    def __call__(self, customer_id: CustomerId) -> Profile:
        """Read a profile.

        Raises:
            UnknownCustomer: no event of that id has been processed, or the customer was erased.
        """
        customer = resolve_customer(self._customers, customer_id)
        if customer.is_blank:
            raise UnknownCustomer(
                f"nothing is known of customer {customer_id}: never seen, not processed yet, or forgotten"
            )
        recent = customer.interests.recent_products(self._recent_products_max)
        reviews = self._customers.reviews(customer.customer_id)
        products = self._cache.products({*recent, *(review.product_id for review in reviews)})
        return Profile(
            customer,
            tuple(customer.interests.favourite_categories(self._affinity_half_life_ms)),
            tuple(products.get(product_id, Product(product_id)) for product_id in recent),
            reviews,
            products,
        )
