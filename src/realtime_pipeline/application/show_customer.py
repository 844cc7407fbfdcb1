"""ShowCustomer: what the shop knows of one customer, in full."""

from collections.abc import Mapping, Sequence

import attrs

from realtime_pipeline.application.errors import UnknownCustomer
from realtime_pipeline.application.known_customers import known_customer
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.shop_cache import ShopCache
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.review import Review


@attrs.frozen
class Profile:
    """A customer with what belongs to them, for reading.

    `categories` are (name, affinity) with the dearest first; `recent` the products touched last, the latest first.
    """

    customer: Customer
    categories: tuple[tuple[str, float], ...]
    recent: tuple[Product, ...]
    reviews: Sequence[Review]
    products: Mapping[ProductId, Product]


class ShowCustomer:
    """Shows a customer's profile."""

    def __init__(self, cells: CellStore, shop: ShopCache, affinity_half_life_ms: int, recent_products_max: int) -> None:
        self._cells = cells
        self._shop = shop
        self._affinity_half_life_ms = affinity_half_life_ms
        self._recent_products_max = recent_products_max

    def __call__(self, customer_id: CustomerId) -> Profile:
        """Read a profile.

        Raises:
            UnknownCustomer: nobody of that id has been seen, or they were forgotten.
        """
        customer = known_customer(self._cells, customer_id)
        if customer.is_blank:
            raise UnknownCustomer(
                f"nothing is known of customer {customer_id}: never seen, not processed yet, or forgotten"
            )
        recent = customer.recent_products(self._recent_products_max)
        reviews = self._cells.reviews(customer.customer_id)
        products = self._shop.products({*recent, *(review.product_id for review in reviews)})
        return Profile(
            customer,
            tuple(customer.favourite_categories(self._affinity_half_life_ms)),
            tuple(products.get(product_id, Product(product_id)) for product_id in recent),
            reviews,
            products,
        )
