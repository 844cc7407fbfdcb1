"""Histories of events for tests, and the state that stores have after them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import attrs
import msgspec
import pytest
from dependency_injector import providers

from harness.checking.compare import compare
from realtime_pipeline import Container, Pipeline, Settings
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.composition.settings import StoreSettings
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.infrastructure.codecs.limits import EventLimits
from tests.support import servers

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000

Kind = Literal["memory", "sqlite", "redis"]
"""The store of a test's pipeline; with Redis, the log is in memory."""

KINDS = pytest.mark.parametrize("kind", get_args(Kind))

SMALL_PROFILE = ProfileSettings(
    session_gap_ms=1_000,
    open_sessions_max=3,
    idle_sessions_max=1,
    closed_sessions_max=2,
    session_products_max=3,
    recent_products_max=3,
    categories_max=2,
    affinity_half_life_ms=5_000,
    orders_max=2,
    bought_products_max=2,
    shown_products_max=2,
    reviews_max=2,
    visitors_max=2,
    dedup_events=3,
    dedup_replays=2,
    dedup_same_timestamp_max=8,
    dedup_merged_ids_max=6,
    contributions_max=3,
)
"""Limits so small that short histories reach every one of them."""

SMALL = Settings(
    events=EventLimits(custom=("video_done", "sensor_reading")),
    partitions=2,
    fold=FoldSettings(SMALL_PROFILE, max_out_of_orderness_ms=500, max_future_skew_ms=1_000, stock_lateness_ms=9_000),
    stores=StoreSettings(session_retention_ms=30_000, listed_sessions_max=3),
    worker=WorkerSettings(cached_customers_max=2),
)


T = TypeVar("T")


class SetClock(Clock):
    """A clock that shows the time it is set to."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


def event(
    event_id: str | None = None,
    kind: str = "view",
    user: str | None = "ada",
    at_ms: int = NOW_MS - 100_000,
    session: str | None = None,
    **properties: object,
) -> dict[str, Any]:
    """Make an event document in the canonical schema; fields that are None are left out. `product` means product_id."""
    if "product" in properties:
        properties["product_id"] = properties.pop("product")
    document = {
        "event_id": event_id,
        "event_type": kind,
        "user_id": user,
        "session_id": session,
        "timestamp": at_ms,
        "properties": properties or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def visits(user: str, *products: str, at_ms: int = HOUR_MS) -> list[dict[str, object]]:
    """Make views of products of one category by a customer, in order."""
    return [
        event(f"{user}-{product}-{at_ms}", user=user, at_ms=at_ms + step * 1_000, product=product, category="kitchen")
        for step, product in enumerate(products)
    ]


def opened(settings: Settings, clock: Clock | None = None) -> Pipeline:
    """Open a pipeline with a fixed clock."""
    container = Container()
    container.clock.override(providers.Object(clock or SetClock()))
    return Pipeline(settings, container)


def embedded(kind: Kind, folder: Path, settings: Settings = SMALL) -> Settings:
    """Make settings for a pipeline in memory, in a file of the folder, or in an empty store in Redis."""
    if kind == "redis":
        return attrs.evolve(settings, log="memory", store="redis", redis=servers.redis_settings())
    return attrs.evolve(settings, log=kind, store=kind, database=str(folder / "shop.db"))


def append(
    pipeline: Pipeline,
    values: Iterable[bytes | Mapping[str, object]],
    partition: int | None = None,
    origin: str | None = None,
) -> None:
    """Append records as a producer would, malformed ones included; `partition` overrides the partition of their key."""
    publisher = pipeline.container.publisher()
    routing_key = pipeline.container.decoder().routing_key
    outgoing = []
    for value in values:
        raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
        key = routing_key(raw)
        outgoing.append(Outgoing(None if key is None else key.encode(), raw, origin, partition))
    publisher.publish(outgoing)


def differences(pipeline: Pipeline) -> list[str]:
    """List the differences between the store and the batch oracle, which reads the log from its start."""
    return compare(pipeline)[1]


def state(pipeline: Pipeline) -> dict[str, Any]:
    """Read everything of a store, as plain values."""
    container = pipeline.container
    cells, views, outputs = container.customer_queries(), container.product_queries(), container.outputs()
    customers = {customer.customer_id: attrs.asdict(customer, recurse=False) for customer in cells.scan()}
    products = dict(views.scan())
    keys = {key for customer in cells.scan() for key in customer.visits.closed_sessions}
    keys |= {session.key for customer in cells.scan() for session in customer.visits.open_sessions}
    return {
        "customers": customers,
        "sessions": cells.session_summaries(sorted(keys)),
        "reviews": {customer_id: cells.reviews(customer_id) for customer_id in customers},
        "products": products,
        "listings": views.listings(sorted(products)),
        "lists": {name: [*sessions.items()] for name, sessions in views.sessions_of(sorted(products), 3).items()},
        "trending": views.trending(TrendingSettings(), None, 100),
        "trending in Germany": views.trending(TrendingSettings(), None, 100, "DE"),
        "top_rated": views.top_rated(5.0, 100),
        "interactions": views.interactions(),
        "watermarks": dict(views.watermarks()),
        "dead_letters": [(letter.record, letter.reason) for letter in outputs.dead_letters(1_000)],
        "counts": dict(cells.counts()),
    }


def in_pieces(values: Sequence[T], cuts: Iterable[int]) -> list[Sequence[T]]:
    """Cut a sequence at indexes."""
    edges = [0, *sorted({cut % (len(values) + 1) for cut in cuts}), len(values)]
    return [values[begin:end] for begin, end in pairwise(edges)]
