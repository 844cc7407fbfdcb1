"""`demo`: runs a simulated shop through the whole pipeline, and shows what it recommends."""

import argparse
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from harness.commands.active_customers import most_active
from harness.simulation.shop import DAY_MS, Shop
from harness.support.console import console, heading, percentile, progress
from harness.support.environment import environment
from harness.support.errors import HarnessError
from harness.support.log_io import process_all, publish
from harness.support.source_record import SourceRecord
from realtime_pipeline import Pipeline
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.interfaces.text import (
    counts_in_words,
    product_in_words,
    profile_in_words,
    recommendations_in_words,
)

PRODUCTS = 400
CUSTOMERS = 4_000
START_MS = 1_760_054_400_000  # a midnight, UTC
SPAN_MS = 7 * DAY_MS
PROBES = 100
PROBE_BOUND_S = 5.0
BACKGROUND_EVENTS_PER_S = 500
SHOWN_CUSTOMERS = 3


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Simulate a week of a shop, process its events, and show profiles, lists and figures."""
    shop = Shop(options.seed, PRODUCTS, CUSTOMERS, START_MS, span_ms=SPAN_MS)
    console.print(
        f"A simulated shop: {PRODUCTS} products, {CUSTOMERS:,} customers, {options.sessions:,} visits in a week.\n"
        "Its events go into a log. A worker folds them by customer and commits each batch together with its\n"
        "position, so that each event counts exactly once. Recommendations are read from the committed state."
    )
    with environment(options) as settings, Pipeline(settings) as pipeline:
        published = publish(pipeline, _records(shop, options.sessions), None)
        seconds, _ = process_all(pipeline, published)
        console.print(counts_in_words(pipeline.container.customer_queries().counts()))
        _show_customers(pipeline)
        _show_products(pipeline)
        fresh_ms, rate = _freshness(pipeline, shop)
        heading("Figures")
        p50, p99 = percentile(fresh_ms, 0.5), percentile(fresh_ms, 0.99)
        console.print(
            f"  processed  {published / seconds:,.0f} events a second, in one process, {options.log} to {options.store}"
        )
        console.print(
            f"  freshness  {p50:.0f} ms (p50), {p99:.0f} ms (p99) from publishing an event to recommendations\n"
            f"             based on it, at {rate:,.0f} other events a second"
        )
        if options.database is not None:
            console.print(f"\nTry: realtime-pipeline recommend customer-0001 --database {options.database}")
    return {
        "events": published,
        "events_per_second": published / seconds,
        "freshness_ms": {"p50": p50, "p99": p99, "probes": len(fresh_ms)},
    }


def _records(shop: Shop, sessions: int) -> Iterator[SourceRecord]:
    for number, event in enumerate(shop.events(sessions), start=1):
        yield SourceRecord(None, msgspec.json.encode(event), f"simulated shop:{number}")


def _freshness(pipeline: Pipeline, shop: Shop) -> tuple[list[float], float]:
    """Measure freshness: publish the first view of a new customer, and wait for recommendations based on it.

    Meanwhile the worker and the other customers run in threads of this process.

    Returns:
        The freshness of each probe in ms, and how many events of others were published per second.
    """
    popular = [trending.product for trending in pipeline.trending(50)]
    done = threading.Event()
    rates: list[float] = []
    others = threading.Thread(target=lambda: rates.append(_publish_others(pipeline, shop, done)), name="others")
    fresh_ms: list[float] = []
    with progress() as bars, pipeline.processing():
        others.start()
        try:
            fresh_ms.extend(
                _probe(pipeline, f"newcomer-{probe}", popular[probe % len(popular)], shop.end_ms)
                for probe in bars.track(range(PROBES), description="freshness")
            )
        finally:
            done.set()
            others.join()
    return fresh_ms, rates[0]


def _publish_others(pipeline: Pipeline, shop: Shop, done: threading.Event) -> float:
    """Publish events of other customers at a rate until `done`; return the rate that the machine reached."""
    events = Shop(shop.seed + 1, shop.products, CUSTOMERS, shop.end_ms, span_ms=DAY_MS, dirt=0.0).events(10_000)
    began_s, published = time.perf_counter(), 0
    while batch := list(islice(events, BACKGROUND_EVENTS_PER_S // 50)):
        published += pipeline.publish(batch)
        if done.wait(max(0.0, published / BACKGROUND_EVENTS_PER_S - (time.perf_counter() - began_s))):
            break
    return published / (time.perf_counter() - began_s)


def _probe(pipeline: Pipeline, customer_id: str, product: Product, at_ms: int) -> float:
    view = {
        "event_id": f"first view of {customer_id}",
        "event_type": "view",
        "user_id": customer_id,
        "session_id": customer_id,
        "timestamp": at_ms,
        "properties": {"product_id": product.product_id},
    }
    began_s = time.perf_counter()
    pipeline.publish([view])
    while time.perf_counter() - began_s < PROBE_BOUND_S:
        if any(product.product_id in entry.reason.because_of for entry in pipeline.recommend(customer_id)):
            return (time.perf_counter() - began_s) * 1000
        time.sleep(0.001)
    raise HarnessError(f"no recommendation was based on the first view of {customer_id} in {PROBE_BOUND_S:g} s")


def _show_customers(pipeline: Pipeline) -> None:
    for customer_id in most_active(pipeline, SHOWN_CUSTOMERS):
        heading(f"Customer {customer_id}, with recommendations")
        for line in profile_in_words(pipeline.profile(customer_id)):
            console.print(line)
        for line in recommendations_in_words(pipeline.recommend(customer_id, 5)):
            console.print(line)
    heading("A customer never seen before")
    for line in recommendations_in_words(pipeline.recommend("a-new-customer", 3)):
        console.print(line)


def _show_products(pipeline: Pipeline) -> None:
    heading("Trending in the whole shop")
    for line in recommendations_in_words(pipeline.trending(5)):
        console.print(line)
    heading("Rated best")
    for number, rated in enumerate(pipeline.top_rated(5), start=1):
        console.print(
            f"{number:>3}. {product_in_words(rated.product)}  {rated.average:.2f} of 5 after {rated.ratings} ratings"
        )
