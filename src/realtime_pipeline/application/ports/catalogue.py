"""What is known of products apart from what customers do with them."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class Catalogue(ABC):
    """Describes products."""

    @abstractmethod
    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products; those not in the catalogue are left out."""
