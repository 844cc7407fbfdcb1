"""Catalogue: what the shop knows of its products, whatever customers do with them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class Catalogue(ABC):
    """Describes products. Facts that it lacks are taken from events.

    Called by readers for every list, from any thread; it may block, and every list waits for it. Its errors are the
    caller's.
    """

    @abstractmethod
    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe products; those not in the catalogue are left out.

        Prices are in whole ten-thousandths of a unit: 19.99 is `Amount(199_900)`.
        """

    def of_category(self, category: str | None) -> Sequence[ProductId]:
        """List the products of a category, or all products, also those without any event; empty where it cannot.

        Called for every request with exploration: return a list that is there already, and may be long.
        """
        return ()
