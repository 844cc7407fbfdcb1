"""`bench freshness`: the time from publishing an event to recommendations based on it, under load."""

import argparse
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event

import msgspec

from harness.benchmarks.windows import with_shipped
from harness.benchmarks.worker import START_MS
from harness.simulation.shop import Shop
from harness.support.console import console, heading, percentile, progress
from harness.support.environment import environment
from harness.support.errors import HarnessError
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.infrastructure.system.garbage_collector import tune_gc

BATCHES_PER_S = 50
WARM_UP_S = 5.0
PROBE_BOUND_S = 10.0
WORKER_STOP_S = 30.0
PRODUCTS, CUSTOMERS, SESSIONS = 2_000, 20_000, 500_000
_encode = msgspec.json.Encoder().encode


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Publish events of others at a rate, run a worker, and measure the freshness of new customers' lists."""
    if "memory" in {options.log, options.store}:
        raise HarnessError("other processes cannot read a log or store in memory: choose another --log and --store")
    with (
        environment(options) as environment_settings,
        _worker(settings := with_shipped(environment_settings)),
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes,
        Pipeline(settings) as pipeline,
    ):
        publishing = processes.submit(_shop, settings, options.rate, WARM_UP_S + options.seconds + PROBE_BOUND_S)
        time.sleep(WARM_UP_S)
        products = _with_neighbours(pipeline)
        if not products:
            raise HarnessError("no product has neighbours yet: give a larger --rate; is the machine too busy?")
        fresh_ms: list[float] = []
        until_s = time.monotonic() + options.seconds
        with progress() as bars:
            bar = bars.add_task("probes", total=None)
            while time.monotonic() < until_s:
                fresh_ms.append(_probe(pipeline, f"newcomer-{len(fresh_ms)}", products[len(fresh_ms) % len(products)]))
                bars.update(bar, completed=len(fresh_ms))
                time.sleep(0.02)
        rate = publishing.result()
    p50, p99 = percentile(fresh_ms, 0.5), percentile(fresh_ms, 0.99)
    heading(f"Freshness, {options.log} to {options.store}, at {rate:,.0f} other events a second")
    console.print(
        f"  {p50:.0f} ms (p50), {p99:.0f} ms (p99), {max(fresh_ms):.0f} ms at most, of {len(fresh_ms)} probes"
    )
    return {"p50_ms": p50, "p99_ms": p99, "max_ms": max(fresh_ms), "probes": len(fresh_ms), "events_per_second": rate}


def _with_neighbours(pipeline: Pipeline) -> list[str]:
    """Popular products that share a session with another product, so that a view leads to recommendations."""
    popular = [trending.product.product_id for trending in pipeline.trending(50)]
    return [id_ for id_ in popular if any(id_ in entry.reason.because_of for entry in pipeline.similar(id_))]


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    """Run a worker in a process of its own, with the same settings."""
    context = get_context("spawn")
    ended = context.Event()
    worker = context.Process(target=_work, args=(settings, ended))
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join(WORKER_STOP_S)
        worker.kill()
        worker.join()
    if worker.exitcode != 0:
        raise HarnessError(f"the worker ended with {worker.exitcode}, or did not end in {WORKER_STOP_S:.0f} s")


def _work(settings: Settings, ended: Event) -> None:
    with Pipeline(settings) as pipeline:
        worker = pipeline.container.worker()
        tune_gc()
        worker.run(ended.is_set, lambda _: None)


def _shop(settings: Settings, rate: int, seconds: float) -> float:
    """Publish a shop's events at a rate; return the rate that the machine reached."""
    events = Shop(7, PRODUCTS, CUSTOMERS, START_MS, dirt=0.01).events(SESSIONS)
    began_s, published = time.monotonic(), 0
    with Pipeline(settings) as pipeline:
        publish = pipeline.container.publish_events()
        while time.monotonic() - began_s < seconds:
            batch = [Submission(_encode(next(events))) for _ in range(max(1, rate // BATCHES_PER_S))]
            published += publish.batch(batch)
            time.sleep(max(0.0, published / rate - (time.monotonic() - began_s)))
        return published / (time.monotonic() - began_s)


def _probe(pipeline: Pipeline, customer_id: str, product_id: str) -> float:
    """Publish a new customer's first view; return the ms until their recommendations are based on it."""
    view = {
        "event_id": f"first view of {customer_id}",
        "event_type": "view",
        "user_id": customer_id,
        "session_id": customer_id,
        "timestamp": START_MS,
        "properties": {"product_id": product_id},
    }
    began_s = time.perf_counter()
    pipeline.publish([view])
    while time.perf_counter() - began_s < PROBE_BOUND_S:
        if any(product_id in entry.reason.because_of for entry in pipeline.recommend(customer_id)):
            return (time.perf_counter() - began_s) * 1000
        time.sleep(0.001)
    raise HarnessError(f"no recommendation was based on the first view of {customer_id} in {PROBE_BOUND_S:g} s")
