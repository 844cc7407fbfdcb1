"""What the catalogue events of a log state of each product, and the stock that is left."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from harness.oracle.identity import KEY_STRIDE, KeyedEvent
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.streams.records import Tick

NEVER_MS: Final = -1
Sale = tuple[ProductId, int, int]
"""A product, the time of a sale in ms, and the units sold."""


@attrs.frozen
class ExpectedListing:
    """What a product's listing must hold: each fact with its time, and the units sold since the stock was set."""

    facts: dict[str, tuple[str, int]]
    sold: int


@attrs.frozen
class TickRecord:
    """A tick: its position, its append time, the largest append time before it, and its floor, if it has one."""

    position: int
    appended_ms: int
    appended_before_ms: int
    floor_ms: int | None


@attrs.frozen
class WindowTick:
    """A tick: when it was appended, and the largest append time before it in its partition."""

    tick: Tick
    appended_ms: int
    appended_before_ms: int


def expected_listings(events: Iterable[KeyedEvent], sales: Iterable[Sale]) -> dict[ProductId, ExpectedListing]:
    """The listing of every product that an applied catalogue event names."""
    stated: dict[ProductId, dict[str, list[tuple[int, str]]]] = {}
    for _, event in events:
        if event.product_id is not None:
            for name, value in event.facts.items():
                of_product = stated.setdefault(event.product_id, {})
                of_product.setdefault(name, []).append((event.occurred_at_ms, value))
    facts = {
        product_id: {name: max(values)[::-1] for name, values in of_product.items()}
        for product_id, of_product in stated.items()
    }
    sold = dict.fromkeys(facts, 0)
    for product_id, at_ms, units in sales:
        if product_id in facts and "stock" in facts[product_id] and at_ms > facts[product_id]["stock"][1]:
            sold[product_id] += units
    return {product_id: ExpectedListing(of_product, sold[product_id]) for product_id, of_product in facts.items()}


def late_stock(
    stock_events: Sequence[KeyedEvent],
    other_times: Mapping[int, Sequence[tuple[int, int]]],
    ticks: Mapping[int, Sequence[TickRecord]],
    bounds_ms: tuple[int, int],
) -> list[KeyedEvent]:
    """The stock levels that come too late: so far behind their partition's watermark.

    Args:
        stock_events: the events that state a stock.
        other_times: of each partition, position and time of each event that moves the watermark; those of the
            catalogue do not.
        ticks: the ticks of each partition.
        bounds_ms: by how much the watermark is behind the largest time, and how far a stock level may be behind it.
    """
    disorder_ms, lateness_ms = bounds_ms
    late = []
    for partition in {key % KEY_STRIDE for key, _ in stock_events}:
        steps: list[tuple[int, KeyedEvent | TickRecord | int]] = [
            (key // KEY_STRIDE, (key, event)) for key, event in stock_events if key % KEY_STRIDE == partition
        ]
        steps += [(tick.position, tick) for tick in ticks.get(partition, ())]
        steps += other_times.get(partition, ())
        watermark_ms = NEVER_MS
        for _, step in sorted(steps, key=lambda found: found[0]):
            if isinstance(step, TickRecord):
                watermark_ms = _ticked(watermark_ms, step)
                continue
            if isinstance(step, int):
                watermark_ms = max(watermark_ms, step - disorder_ms)
            elif watermark_ms - step[1].occurred_at_ms > lateness_ms:
                late.append(step)
    return late


def _ticked(watermark_ms: int, tick: TickRecord) -> int:
    if NEVER_MS not in (watermark_ms, tick.appended_before_ms):
        watermark_ms += max(0, tick.appended_ms - tick.appended_before_ms)
    return min(END_OF_TIME, watermark_ms if tick.floor_ms is None else max(watermark_ms, tick.floor_ms))
