"""A catalogue made of what the events themselves say of products."""

from collections.abc import Collection

from realtime_pipeline.application.ports.catalogue import Catalogue
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Product


class ObservedCatalogue(Catalogue):
    """Describes products as the newest events described them."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def products(self, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
        """Describe the products that events have mentioned."""
        return {id_: state.described(id_) for id_, state in self._views.products(product_ids).items()}
