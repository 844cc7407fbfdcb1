"""Descriptions of the products of one batch of lists."""

from collections.abc import Mapping, Set

from realtime_pipeline.application.serving.shared_cache import SharedCache
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class Descriptions:
    """Reads the description of each product once, however many lists of the batch contain it."""

    def __init__(self, cache: SharedCache) -> None:
        self._cache = cache
        self._read: set[ProductId] = set()
        self._found: dict[ProductId, Product] = {}

    def of(self, product_ids: Set[ProductId]) -> Mapping[ProductId, Product]:
        """Describe products; the result may contain others, too. A product without a description is left out."""
        missing = product_ids - self._read
        if missing:
            self._found.update(self._cache.products(missing))
            self._read |= missing
        return self._found
