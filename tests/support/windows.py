"""Windows in tests: definitions, events of a second, and what was counted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.composition.settings import AnalyticsSettings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import Condition
from realtime_pipeline.domain.streams.records import Tick
from realtime_pipeline.infrastructure.codecs.ticks import encode_tick
from tests.support.histories import SetClock, append, event

T_MS = 29_333_000 * 60_000
"""The start of a minute, some hours before the tests' clock: 2025-10-09T03:20:00Z."""
T = datetime(2025, 10, 9, 3, 20, tzinfo=UTC)
MINUTE = Window(60_000)
COUNT = {"n": Measure("count")}
PURCHASE: dict[str, Condition] = {"event_type": "product_purchased"}
SALES = WindowedAggregate(
    "sales",
    MINUTE,
    {
        "orders": Measure("distinct", "order_id", where=PURCHASE),
        "units": Measure("sum", "quantity", where=PURCHASE),
        "gross": Measure("sum", "amount", where=PURCHASE),
        "net": Measure("sum", "net_amount"),
        "line": Measure("mean", "amount", where=PURCHASE),
        "refunds": Measure("ratio", of_which={"event_type": "purchase_cancelled"}),
    },
    where={"event_type": ("product_purchased", "purchase_cancelled")},
)
VIEWS = WindowedAggregate(
    "views",
    MINUTE,
    COUNT,
    key=("product_id",),
    where={"event_type": "product_viewed"},
    lateness_ms=60_000,
)


def settings_for(*windows: WindowedAggregate, partitions: int = 1, **more: Any) -> Settings:
    """Settings that count these windows, and none that ship with the library."""
    analytics = AnalyticsSettings(windows, shipped=())
    return Settings(log="memory", store="memory", partitions=partitions, analytics=analytics, **more)


def at(seconds: float) -> int:
    return T_MS + round(seconds * 1_000)


def view(event_id: str, seconds: float, product: str | None = "mug", **more: Any) -> dict[str, Any]:
    return event(event_id, at_ms=at(seconds), product=product, **more)


def run(pipeline: Pipeline, *documents: Mapping[str, object]) -> None:
    pipeline.publish(documents)
    pipeline.process()


def rows(
    pipeline: Pipeline, name: str, **arguments: Any
) -> list[tuple[int, Sequence[str | None] | None, dict[str, Any]]]:
    """Each window's start in seconds after T, its key, and its values."""
    items = pipeline.windows(name, **arguments).items
    return [((item.start_ms - T_MS) // 1_000, item.key, dict(item.values)) for item in items]


@attrs.frozen
class Imported:
    """An event of a test's history that comes from a file."""

    value: bytes


@attrs.frozen
class TickAt:
    """A tick of a test's history: the clock moves on by `after_ms`, and the tick is appended to a partition."""

    partition: int
    after_ms: int
    elapsed_ms: int
    floor_ms: int | None = None
    is_next: bool = True
    """Whether its writer has seen the partition's last record."""


def append_history(pipeline: Pipeline, clock: SetClock, history: Iterable[bytes | Imported | TickAt]) -> None:
    """Append events and ticks, in order."""
    for item in history:
        if isinstance(item, TickAt):
            clock.at_ms += item.after_ms
            append_tick(pipeline, item)
        elif isinstance(item, Imported):
            append(pipeline, [item.value], origin="orders.csv:17")
        else:
            append(pipeline, [item])


def append_tick(pipeline: Pipeline, item: TickAt) -> None:
    container = pipeline.container
    _, end = container.log().bounds([item.partition])[item.partition]
    records = container.log_reader().read(item.partition, 0, end)
    seen_ms = max([record.appended_at_ms for record in records], default=-1) + (not item.is_next)
    tick = Tick(item.elapsed_ms, seen_ms, item.floor_ms)
    container.publisher().publish([encode_tick(tick, item.partition)])


def counts(pipeline: Pipeline, name: str, **arguments: Any) -> list[tuple[int, Any, int]]:
    return [(start, key, values["n"]) for start, key, values in rows(pipeline, name, **arguments)]


def states(pipeline: Pipeline, name: str) -> list[str]:
    return [item.state.value for item in pipeline.windows(name).items]
