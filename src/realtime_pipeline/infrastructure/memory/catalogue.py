"""A catalogue in memory."""

from collections.abc import Collection, Mapping, Sequence

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class MemoryCatalogue(Catalogue):
    """Products that were given once, completed by another catalogue."""

    def __init__(self, products: Mapping[ProductId, Product], otherwise: Catalogue) -> None:
        self._products = dict(products)
        self._by_category: dict[str | None, list[ProductId]] = {None: list(self._products)}
        for product_id, product in self._products.items():
            if product.category is not None:
                self._by_category.setdefault(product.category, []).append(product_id)
        self._otherwise = otherwise

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products: what was given first, the rest from the other catalogue."""
        described = self._otherwise.products(product_ids)
        for product_id in product_ids:
            given = self._products.get(product_id)
            if given is not None:
                other = described.get(product_id)
                described[product_id] = given if other is None else given.completed_by(other)
        return described

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products that were given."""
        return self._by_category.get(category) or self._otherwise.of_category(category)
