"""`bench worker`: how much the worker does with a second of CPU, and with how much memory."""

import argparse
import platform
import random
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
from dependency_injector import providers

from harness.console import console, database_file, heading
from harness.feed import publish, work_off
from harness.line import Line
from harness.shop import Shop
from harness.stage_clock import StageClock
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.system.garbage_collector import settle_collector

START_MS = 1_760_000_000_000
EVENTS_PER_SESSION = 7
_encode = msgspec.json.Encoder().encode


def shop_events(options: argparse.Namespace) -> Iterator[bytes]:
    """A simulated shop: visits of some seven events, customers and products more and less popular."""
    shop = Shop(options.seed, options.products, options.customers, START_MS)
    sessions = 2 * options.events // EVENTS_PER_SESSION
    for event, _ in zip(shop.events(sessions), range(options.events), strict=False):
        yield _encode(event)


def uniform_events(options: argparse.Namespace) -> Iterator[bytes]:
    """The hardest for a cache: each event is of any customer with equal chance, of a product by Zipf's law."""
    dice = random.Random(options.seed)
    types = ("view", "view", "view", "view", "cart", "purchase")
    for number in range(options.events):
        customer = dice.randrange(options.customers)
        product = int(dice.paretovariate(1.0)) % options.products
        yield _encode(
            {
                "event_id": f"{dice.getrandbits(64):016x}-{number:08x}",
                "event_type": types[number % len(types)],
                "user_id": f"customer-{customer:07d}",
                "session_id": f"session-{customer:07d}",
                "timestamp": START_MS + number,
                "properties": {
                    "product_id": f"product-{product:06d}",
                    "category": f"category-{product % 40}",
                    "price": 12.5,
                },
            }
        )


WORKLOADS: Mapping[str, Callable[[argparse.Namespace], Iterator[bytes]]] = {
    "shop": shop_events,
    "uniform": uniform_events,
}


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a log in one process, work it off in another, and tell how that went."""
    with database_file(None) as file, ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        published = processes.submit(_publish, file, options).result()
        figures = processes.submit(_work, file, published).result()
    heading(f"Worker on SQLite, {options.workload}: {options.customers:,} customers, {options.products:,} products")
    console.print(f"  {figures['events']:>12,} events, {figures['event_bytes']:.0f} bytes each")
    console.print(f"  {figures['events_per_cpu_second']:>12,.0f} events per CPU-second")
    console.print(f"  {figures['events_per_second']:>12,.0f} events per second")
    console.print(f"  {figures['peak_memory_mb']:>12,.0f} MB of memory at most")
    console.print(f"  {figures['database_bytes_per_event']:>12,.0f} bytes of the file per event, the log included")
    for stage, share in figures["stages"].items():
        micros = share * 1e6 / figures["events_per_cpu_second"]
        console.print(f"  {share:>12.1%} {stage} ({micros:.1f} µs an event)")
    return {
        "workload": options.workload,
        "customers": options.customers,
        "products": options.products,
        "python": platform.python_version(),
        **figures,
    }


def _publish(file: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Fill the log; return how many events and bytes."""
    size = 0

    def lines() -> Iterator[Line]:
        nonlocal size
        for value in WORKLOADS[options.workload](options):
            size += len(value)
            yield Line(None, value, "bench")

    with Pipeline(Settings(database=str(file))) as pipeline:
        count = publish(pipeline, lines(), options.events)
    return count, size


def _work(file: Path, published: tuple[int, int]) -> dict[str, Any]:
    events, size = published
    stages = StageClock()
    with Pipeline(Settings(database=str(file))) as pipeline:
        pipeline.container.stages.override(providers.Object(stages))
        pipeline.container.process_events()
        settle_collector()
        began_s = time.process_time()
        seconds, counts = work_off(pipeline, events)
        cpu_s = time.process_time() - began_s
    applied = sum(count for name, count in counts.items() if name is not RecordClass.CONTROL)
    return {
        "events": applied,
        "event_bytes": size / events,
        "events_per_cpu_second": applied / cpu_s,
        "events_per_second": applied / seconds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "database_bytes_per_event": file.stat().st_size / applied,
        "stages": stages.shares(),
    }
