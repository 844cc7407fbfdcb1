"""A catalogue in memory."""

from collections.abc import Collection, Mapping, Sequence

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class MemoryCatalogue(Catalogue):
    """Holds the products that it is constructed with."""

    def __init__(self, products: Mapping[ProductId, Product]) -> None:
        self._products = dict(products)
        self._by_category: dict[str | None, list[ProductId]] = {None: list(self._products)}
        for product_id, product in self._products.items():
            if product.category is not None:
                self._by_category.setdefault(product.category, []).append(product_id)

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products."""
        if not self._products:
            return {}
        return {product_id: self._products[product_id] for product_id in product_ids if product_id in self._products}

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all."""
        return self._by_category.get(category, ())
