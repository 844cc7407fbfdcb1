"""Stores with another layout, customers with odd names, and reads of many sessions."""

import attrs
import pytest

from realtime_pipeline.application.errors import WrongLog
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.domain.profile.session import Session, session_key
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.product_queries import RedisProductQueries
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.contracts.cell_store import effects, seen
from tests.support.servers import ask

ADA, MUG = CustomerId("ada"), ProductId("mug")
MARK = Watermark(1, 2, 3)


def test_reviews_of_a_customer_whose_id_looks_like_a_key_are_no_customers(
    redis_settings: RedisSettings, redis_client: RedisClient
) -> None:
    cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
    odd = CustomerId("x}:customer:y")
    review = Review(odd, MUG, 5, "", 1)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, MARK, attrs.evolve(effects(seen(odd)), reviews={(odd, MUG): review}))])
    customers = RedisCustomerQueries(redis_client, redis_settings, 1_000)
    assert [customer.customer_id for customer in customers.scan()] == [odd]


def test_a_store_with_another_number_of_view_cells_is_refused(
    redis_settings: RedisSettings, redis_client: RedisClient
) -> None:
    identity = LogIdentity("a", 1, "consistent")
    RedisCellStore(redis_client, redis_settings, 1_000, NoObserver()).bind(identity)
    others = attrs.evolve(redis_settings, view_cells=redis_settings.view_cells + 8)
    cells = RedisCellStore(redis_client, others, 1_000, NoObserver())
    customers = RedisCustomerQueries(redis_client, others, 1_000)
    views = RedisProductQueries(redis_client, others, listed_sessions_max=3)
    for use in (
        lambda: cells.bind(identity),
        lambda: customers.read_customer(ADA),
        lambda: views.trending(TrendingSettings(), None, 9),
        lambda: views.sessions_of([MUG], 9),
        lambda: views.products([MUG]),
        lambda: views.top_rated(1.0, 9),
    ):
        with pytest.raises(WrongLog, match=rf"set redis\.view_cells = {redis_settings.view_cells}"):
            use()


def test_a_store_without_a_layout_is_refused(redis_settings: RedisSettings, redis_client: RedisClient) -> None:
    identity, meta = LogIdentity("a", 1, "consistent"), Keys(redis_settings.namespace).meta
    cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
    customers = RedisCustomerQueries(redis_client, redis_settings, 1_000)
    views = RedisProductQueries(redis_client, redis_settings, listed_sessions_max=3)
    ask(redis_client, meta, "HSET", meta, "built_from", "a/1/consistent", "view_cells", redis_settings.view_cells)
    for use in (
        lambda: cells.bind(identity),
        lambda: customers.read_customer(ADA),
        lambda: views.trending(TrendingSettings(), None, 9),
        lambda: views.sessions_of([MUG], 9),
        lambda: views.products([MUG]),
        lambda: views.top_rated(1.0, 9),
    ):
        with pytest.raises(WrongLog, match="made by another version"):
            use()


def test_thousands_of_sessions_are_read_by_one_call(redis_settings: RedisSettings, redis_client: RedisClient) -> None:
    cells = RedisCellStore(redis_client, redis_settings, 1_000, NoObserver())
    session = Session(session_key(0, 8_999), None, 1, 2)
    cells.claim(0, 1)
    cells.commit([Commit(0, 1, 1, 0, 1, MARK, attrs.evolve(effects(seen(ADA)), sessions={session.key: session}))])
    customers = RedisCustomerQueries(redis_client, redis_settings, 1_000)
    assert customers.session_summaries([session_key(0, position) for position in range(9_000)]) == {
        session.key: session.summary()
    }
