"""The simulated shop of the tests, and questions about its events."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from harness.simulation.shop import DAY_MS, Shop
from realtime_pipeline.domain.shop.product import Product

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
START_MS = 1_735_689_600_000
KINDS = {"view", "cart", "remove_from_cart", "purchase", "cancellation", "review"}


def shop(seed: int = 7, dirt: float = 0.0, products: list[Product] | int = 400, span_ms: int = 7 * DAY_MS) -> Shop:
    return Shop(seed, products, customers=300, start_ms=START_MS, span_ms=span_ms, dirt=dirt)


def of_kind(events: list[Json], kind: str) -> list[Json]:
    return [event for event in events if event["event_type"] == kind]


def by_session(events: list[Json]) -> dict[str, list[Json]]:
    sessions: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        if event.get("session_id") and event["event_type"] != "cancellation":
            sessions[event["session_id"]].append(event)
    return sessions


def line_of(event: Json) -> tuple[Any, ...]:
    properties = event["properties"]
    return (
        properties["order_id"],
        properties["product_id"],
        properties["quantity"],
        properties["price"],
        event.get("user_id"),
    )


def mistake_in(event: Json) -> str:
    if "timestamp" not in event:
        return "timestamp missing"
    if "event_type" not in event:
        return "type"
    if not isinstance(event["timestamp"], int):
        return "timestamp"
    properties = event["properties"]
    return "rating" if properties.get("rating", 1) > 5 else "quantity" if properties.get("quantity", 1) < 1 else "none"
