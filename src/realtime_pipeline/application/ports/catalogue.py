"""What is known of products apart from what customers do with them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class Catalogue(ABC):
    """Describes products. What it does not know of them, or of which products, is taken from what events say."""

    @abstractmethod
    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products; those not in the catalogue are left out.

        Prices are in whole ten-thousandths of a unit: 19.99 is `Amount(199_900)`.
        """

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all, those too that nobody has touched yet; none where it cannot.

        There may be many, and it is asked at every request that wants new products: nothing is made anew for it.
        """
        return ()
