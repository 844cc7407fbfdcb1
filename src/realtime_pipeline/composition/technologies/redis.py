"""The store in Redis."""

from typing import Any

from dependency_injector import providers

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.composition.parts import Parts, StoreTechnology


def _cells(parts: Parts) -> CellStore:
    from realtime_pipeline.infrastructure.redis.cells import RedisCellStore

    settings = parts.settings()
    return RedisCellStore(parts.redis_client(), settings.redis, settings.stores.session_retention_ms, parts.observer())


def _check_swapped_with(owner: providers.Provider[Any], queries: str) -> None:
    """Check that readers do not read from Redis what a swapped owner writes elsewhere.

    Raises:
        InvalidSettings: the owner's side is overridden, and the readers' side stands for Redis.
    """
    if owner.last_overriding is not None:
        raise InvalidSettings(f"the container's store is swapped in part: override {queries} too, so that both agree")


def _customer_queries(parts: Parts) -> CustomerQueries:
    _check_swapped_with(parts.cells, "customer_queries")
    from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries

    settings = parts.settings()
    return RedisCustomerQueries(parts.redis_client(), settings.redis, settings.stores.session_retention_ms)


def _window_queries(parts: Parts) -> WindowQueries:
    _check_swapped_with(parts.cells, "window_queries")
    from realtime_pipeline.infrastructure.redis.panes import RedisWindowQueries

    return RedisWindowQueries(parts.redis_client(), parts.settings().redis)


def _window_results(parts: Parts) -> WindowResults:
    from realtime_pipeline.infrastructure.redis.window_results import RedisWindowResults

    return RedisWindowResults(parts.redis_client(), parts.settings().redis)


def _views(parts: Parts) -> Views:
    from realtime_pipeline.infrastructure.redis.views import RedisViews

    settings = parts.settings()
    stores = settings.stores
    return RedisViews(
        parts.redis_client(),
        settings.redis,
        stores.listed_sessions_max,
        stores.activity_retention_hours,
        settings.fold.stock_lateness_ms,
    )


def _product_queries(parts: Parts) -> ProductQueries:
    _check_swapped_with(parts.views, "product_queries")
    from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries

    settings = parts.settings()
    return RedisProductQueries(parts.redis_client(), settings.redis, settings.stores.listed_sessions_max)


STORE = StoreTechnology(
    cells=_cells,
    customer_queries=_customer_queries,
    window_queries=_window_queries,
    window_results=_window_results,
    views=_views,
    product_queries=_product_queries,
    module="redis",
)
