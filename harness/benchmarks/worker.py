"""`bench worker`: events per second and per CPU-second, share of each stage, and memory of workers."""

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

import attrs
import msgspec
from dependency_injector import providers

from harness.benchmarks.stage_clock import StageClock
from harness.benchmarks.windows import FOUR_WINDOWS, SHIPPED, with_shipped
from harness.simulation.shop import Shop
from harness.support.console import console, heading
from harness.support.environment import environment
from harness.support.errors import HarnessError
from harness.support.log_io import process_all, publish
from harness.support.source_record import SourceRecord
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.system.garbage_collector import tune_gc

START_MS = 1_760_000_000_000
EVENTS_PER_SESSION = 7
_encode = msgspec.json.Encoder().encode


def shop_events(options: argparse.Namespace) -> Iterator[bytes]:
    """A simulated shop: visits of about seven events, some customers and products more popular than others."""
    shop = Shop(options.seed, options.products, options.customers, START_MS)
    sessions = 1 + 2 * options.events // EVENTS_PER_SESSION
    for event, _ in zip(shop.events(sessions), range(options.events), strict=False):
        yield _encode(event)


def uniform_events(options: argparse.Namespace) -> Iterator[bytes]:
    """The hardest load for a cache: customers are chosen uniformly, products by Zipf's law."""
    rng = random.Random(options.seed)
    return _random_events(options, rng, lambda: rng.randrange(options.customers))


def zipf_events(options: argparse.Namespace) -> Iterator[bytes]:
    """Customers and products are chosen by Zipf's law: few customers have most of the events."""
    rng = random.Random(options.seed)
    return _random_events(options, rng, lambda: _zipf(rng, options.customers))


def hot_events(options: argparse.Namespace) -> Iterator[bytes]:
    """Every other event is of the same customer."""
    rng = random.Random(options.seed)
    return _random_events(options, rng, lambda: 0 if rng.random() < 0.5 else rng.randrange(options.customers))


def _zipf(rng: random.Random, number: int) -> int:
    """A random number from 0 to `number` - 1 by Zipf's law: rank r is drawn 1 / r times as often as the first."""
    return int(number ** rng.random()) % number


def _random_events(
    options: argparse.Namespace, rng: random.Random, pick_customer: Callable[[], int]
) -> Iterator[bytes]:
    types = ("view", "view", "view", "view", "cart", "purchase")
    for number in range(options.events):
        customer = pick_customer()
        product = _zipf(rng, options.products)
        yield _encode(
            {
                "event_id": f"{rng.getrandbits(64):016x}-{number:08x}",
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
    "zipf": zipf_events,
    "hot": hot_events,
}


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a log in one process, process it in others, and show the figures."""
    if options.log == "memory":
        raise HarnessError("other processes cannot read a log in memory: choose another --log")
    with (
        environment(options) as environment_settings,
        ProcessPoolExecutor(options.workers, get_context("spawn"), max_tasks_per_child=1) as processes,
        Pipeline(settings := _with_windows(environment_settings, options)) as pipeline,
    ):
        published, size = processes.submit(_publish, settings, options).result()
        before = _redis_usage(pipeline, settings)
        running = [processes.submit(_work, settings, published) for _ in range(options.workers)]
        of_workers = [worker.result() for worker in running]
        after = _redis_usage(pipeline, settings)
        figures = _figures(of_workers, size / published)
        if settings.store == "sqlite":
            figures["database_bytes_per_event"] = Path(settings.database).stat().st_size / published
    for name in after:
        figures[f"redis_{name}_per_event"] = (after[name] - before[name]) / figures["events"]
    _show(options, settings, figures)
    return {
        "workload": options.workload,
        "log": options.log,
        "store": options.store,
        "partitions": settings.partitions,
        "workers": options.workers,
        "windows": options.windows,
        "shipped": options.shipped,
        "customers": options.customers,
        "products": options.products,
        "python": platform.python_version(),
        **figures,
    }


def _with_windows(settings: Settings, options: argparse.Namespace) -> Settings:
    settings = with_shipped(settings, SHIPPED[options.shipped])
    if not options.windows:
        return settings
    return attrs.evolve(settings, analytics=attrs.evolve(settings.analytics, windows=FOUR_WINDOWS))


@attrs.frozen
class _WorkerFigures:
    """The figures of one worker."""

    events: int
    seconds: float
    cpu_s: float
    memory_mb: float
    stages: Mapping[str, float]


def _figures(of_workers: list[_WorkerFigures], event_bytes: float) -> dict[str, Any]:
    events = sum(worker.events for worker in of_workers)
    return {
        "events": events,
        "event_bytes": event_bytes,
        "events_per_cpu_second": events / sum(worker.cpu_s for worker in of_workers),
        "events_per_second": events / max(worker.seconds for worker in of_workers),
        "peak_memory_mb": max(worker.memory_mb for worker in of_workers),
        "stages": max(of_workers, key=lambda worker: worker.events).stages,
    }


def _show(options: argparse.Namespace, settings: Settings, figures: Mapping[str, Any]) -> None:
    where = f"{options.log} to {options.store}, {settings.partitions} partitions"
    workers = "Worker" if options.workers == 1 else f"{options.workers} workers"
    heading(f"{workers}, {where}, {options.workload}: {options.customers:,} customers, {options.products:,} products")
    console.print(f"  {figures['events']:>12,} events, {figures['event_bytes']:.0f} bytes each")
    console.print(f"  {figures['events_per_cpu_second']:>12,.0f} events per CPU-second")
    console.print(f"  {figures['events_per_second']:>12,.0f} events per second")
    console.print(f"  {figures['peak_memory_mb']:>12,.0f} MB of memory at most")
    for name, unit in SERVER_FIGURES.items():
        if name in figures:
            console.print(f"  {figures[name]:>12,.1f} {unit}")
    for stage, share in figures["stages"].items():
        micros = share * 1e6 / figures["events_per_cpu_second"]
        console.print(f"  {share:>12.1%} {stage} ({micros:.1f} µs an event)")


SERVER_FIGURES: Mapping[str, str] = {
    "database_bytes_per_event": "bytes of the file per event, the log included",
    "redis_us_per_event": "µs of Redis's CPU per event",
    "redis_log_bytes_per_event": "bytes of Redis's append-only file per event",
    "redis_memory_bytes_per_event": "bytes of Redis's memory per event",
}


def _publish(settings: Settings, options: argparse.Namespace) -> tuple[int, int]:
    """Publish the workload; return the number of events and of bytes."""
    size = 0

    def records() -> Iterator[SourceRecord]:
        nonlocal size
        for value in WORKLOADS[options.workload](options):
            size += len(value)
            yield SourceRecord(None, value, "bench")

    with Pipeline(settings) as pipeline:
        count = publish(pipeline, records(), options.events)
    return count, size


def _work(settings: Settings, expected: int) -> _WorkerFigures:
    stages = StageClock()
    with Pipeline(settings) as pipeline:
        pipeline.container.observer.override(providers.Object(stages))
        pipeline.container.process_events()
        tune_gc()
        stages.begin()
        began_s = time.process_time()
        seconds, counts = process_all(pipeline, expected)
        cpu_s = time.process_time() - began_s
    applied = sum(count for name, count in counts.items() if name is not RecordClass.CONTROL)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return _WorkerFigures(applied, seconds, cpu_s, memory_mb, stages.shares())


def _redis_usage(pipeline: Pipeline, settings: Settings) -> Mapping[str, float]:
    """CPU time, memory and log size of Redis so far, of all its nodes together."""
    return pipeline.container.redis_client().used() if settings.store == "redis" else {}
