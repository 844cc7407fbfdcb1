"""`bench recommend`: latency and CPU of recommendation lists, at a rate of requests."""

import argparse
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from threading import Lock
from typing import Final

import attrs
import msgspec

from harness.benchmarks.windows import with_shipped
from harness.support.console import console, heading, percentile
from harness.support.environment import environment
from harness.support.errors import HarnessError
from harness.support.log_io import process_all, publish
from harness.support.source_record import SourceRecord
from realtime_pipeline import ListRules, Pipeline, Request, Settings
from realtime_pipeline.infrastructure.system.garbage_collector import OF_REQUESTS, tune_gc

START_MS: Final = 1_760_000_000_000
NEAR: Final = (-3, -2, -1, 1, 1, 2, 3, 50)
WARM_UP: Final = 1_000
START_UP_S: Final = 5.0
"""How long a process needs to start before its first request."""
INGESTED_VISITS: Final = 10_000
VISIT_NUMBERS_APART: Final = 1_000_000
"""The distance between the numbers of visits that are processed at one rate and at the next."""
LIMIT: Final = 10
RULES: Final = ListRules(hide_bought=True, per_category=4, diversity=0.1, price_max=1_000.0)

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Measured:
    """The figures of all requests at a rate.

    `by_neighbours` is the share of lists whose first product comes from neighbour sessions, `round_trips` the number of
    round trips to Redis per request.
    """

    rate: int
    latencies_ms: list[float]
    cpu_ms: float
    by_neighbours: float
    round_trips: float
    ingested_per_second: float = 0.0

    def figures(self) -> dict[str, float]:
        """The figures as they are reported."""
        return {
            "rate": self.rate,
            "p50_ms": percentile(self.latencies_ms, 0.5),
            "p99_ms": percentile(self.latencies_ms, 0.99),
            "max_ms": max(self.latencies_ms),
            "cpu_ms": self.cpu_ms,
            "by_neighbours": self.by_neighbours,
            "round_trips": self.round_trips,
            "ingested_per_second": self.ingested_per_second,
        }


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a store with sessions, then request lists at random times."""
    if "memory" in {options.log, options.store}:
        raise HarnessError("other processes cannot read a log or store in memory: choose another --log and --store")
    if options.one_core and not hasattr(os, "sched_setaffinity"):
        raise HarnessError("this system cannot bind a process to a core: leave --one-core out")
    with (
        environment(options) as environment_settings,
        ProcessPoolExecutor(1 + options.processes, get_context("spawn"), max_tasks_per_child=1) as processes,
        Pipeline(settings := with_shipped(environment_settings)) as pipeline,
    ):
        before = _memory(pipeline)
        events = processes.submit(_fill, settings, options, 0, options.visits).result()
        grown = _memory(pipeline) - before
        by_rate = [_measure(processes, settings, options, number) for number in range(len(options.rates))]
    setup = f"{options.processes} processes" if options.processes > 1 else "one process"
    setup += f" of {options.threads} threads" if options.threads > 1 else ""
    setup += f", up to {options.together} requests in one call" if options.together > 1 else ""
    setup += " on one core" if options.one_core else ""
    heading(f"Lists from {options.store}, {options.visits:,} sessions, {options.products:,} products, {setup}")
    for measured in by_rate:
        _show(measured)
    found: dict[str, object] = {
        "store": options.store,
        "processes": options.processes,
        "threads": options.threads,
        "together": options.together,
        "one_core": options.one_core,
        "events": events,
        "sessions": options.visits,
    }
    if grown:
        found["redis_bytes_per_session"] = grown / options.visits
        console.print(f"  {grown / options.visits:>8,.0f} bytes of Redis's memory a session, all included")
    return {**found, "rates": [measured.figures() for measured in by_rate]}


def _show(measured: Measured) -> None:
    p50_ms, p99_ms = (percentile(measured.latencies_ms, share) for share in (0.5, 0.99))
    console.print(f"  {measured.rate:>8,} requests a second at random times, {len(measured.latencies_ms):,} in all:")
    console.print(
        f"  {p50_ms:>12.1f} ms (p50), {p99_ms:.1f} ms (p99), {max(measured.latencies_ms):.1f} ms at most, "
        "from when each was due"
    )
    console.print(f"  {measured.cpu_ms:>12.2f} ms of CPU a request, the client library included")
    if measured.round_trips:
        console.print(f"  {measured.round_trips:>12.1f} round trips to Redis a request")
    console.print(f"  {measured.by_neighbours:>12.0%} of the lists begin with a product from neighbour sessions")
    if measured.ingested_per_second:
        console.print(f"  {measured.ingested_per_second:>12,.0f} events a second were processed meanwhile")


def _measure(processes: ProcessPoolExecutor, settings: Settings, options: argparse.Namespace, number: int) -> Measured:
    """Measure one of the rates. The visits that are processed meanwhile are new for each rate."""
    rate, first = options.rates[number], (number + 1) * max(options.visits, VISIT_NUMBERS_APART)
    begin_s = time.time() + START_UP_S * options.processes  # all processes begin together
    until_s = begin_s + options.seconds
    ingesting = processes.submit(_ingest, settings, options, until_s, first) if options.ingesting else None
    requesting = [
        processes.submit(_answer_requests, settings, options, rate / options.processes, begin_s, options.seed + process)
        for process in range(1, options.processes + 1)
    ]
    measured = _combine(rate, [process.result() for process in requesting])
    if ingesting is None:
        return measured
    # The count of round trips includes the worker's, so that it says nothing about requests.
    return attrs.evolve(measured, ingested_per_second=ingesting.result(), round_trips=0.0)


def _combine(rate: int, parts: Sequence[Measured]) -> Measured:
    """Combine the figures of several processes; each has counted the round trips of all."""
    counts = [len(part.latencies_ms) for part in parts]
    total = sum(counts)

    def mean(values: Iterable[float]) -> float:
        return sum(value * count for value, count in zip(values, counts, strict=True)) / total

    return Measured(
        rate,
        [latency_ms for part in parts for latency_ms in part.latencies_ms],
        mean(part.cpu_ms for part in parts),
        mean(part.by_neighbours for part in parts),
        mean(part.round_trips * count for part, count in zip(parts, counts, strict=True)) / total,
    )


def _fill(settings: Settings, options: argparse.Namespace, first: int, visits: int) -> int:
    """Publish visits and process them; return the number of events."""
    with Pipeline(settings) as pipeline:
        count = publish(pipeline, _records(options, first, visits), options.looks * visits)
        process_all(pipeline, count)
    return count


def _ingest(settings: Settings, options: argparse.Namespace, until_s: float, first: int) -> float:
    """Publish more visits and process them for a while; return events per second."""
    began_s, events = time.time(), 0
    while time.time() < until_s:
        events += _fill(settings, options, first, INGESTED_VISITS)
        first += INGESTED_VISITS
    return events / (time.time() - began_s)


def _records(options: argparse.Namespace, first: int, visits: int) -> Iterator[SourceRecord]:
    """Make visits, two for each customer: the first product is chosen by Zipf's law, the next products are near it."""
    rng = random.Random(options.seed + first)
    for visit in range(first, first + visits):
        product = int(options.products ** rng.random()) % options.products
        customer = visit % max(1, options.visits // 2)
        for look in range(options.looks):
            value = {
                "event_id": f"{visit}-{look}",
                "event_type": "purchase" if look == options.looks - 1 and visit % 20 == 0 else "view",
                "user_id": f"customer-{customer}",
                "session_id": f"visit-{visit}",
                "timestamp": START_MS + _after_ms(visit, options.visits) + look,
                "properties": {
                    "product_id": f"product-{product}",
                    "category": f"category-{product % 40}",
                    "price": 1 + product % 500,
                },
            }
            yield SourceRecord(None, _encode(value), "bench")
            product = (product + rng.choice(NEAR)) % options.products


def _after_ms(visit: int, filled: int) -> int:
    """When a visit begins: every 100 ms for visits in the store, every ms for visits that are processed meanwhile."""
    return 100 * min(visit, filled) + max(0, visit - filled)


def _answer_requests(
    settings: Settings, options: argparse.Namespace, rate: float, begin_s: float, seed: int
) -> Measured:
    """Request lists in an open loop: each request is due at its time, whether or not earlier requests are answered."""
    if options.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = random.Random(seed)
    customers = max(1, options.visits // 2)
    with Pipeline(settings) as pipeline, ThreadPoolExecutor(options.threads) as threads:

        def next_request() -> Request:
            return Request(f"customer-{rng.randrange(customers)}", LIMIT, rules=RULES)

        def answer_all(queue: _RequestQueue) -> list[tuple[float, bool]]:
            running = [threads.submit(_work_thread, pipeline, queue, options.together) for _ in range(options.threads)]
            return [answer for thread in running for answer in thread.result()]

        answer_all(_RequestQueue(0.0, 1.0, WARM_UP, next_request, rng))  # all of them are due already
        tune_gc(OF_REQUESTS)
        if options.processes > 1:
            time.sleep(max(0.0, begin_s - time.time()))
        trips_before = _round_trips(pipeline)
        cpu_s, began_s = time.process_time(), time.perf_counter()
        answers = answer_all(_RequestQueue(began_s, began_s + options.seconds, rate, next_request, rng))
        cpu_ms = 1_000 * (time.process_time() - cpu_s) / len(answers)
        by_neighbours = sum(is_by_neighbours for _, is_by_neighbours in answers) / len(answers)
        latencies_ms = [latency_ms for latency_ms, _ in answers]
        round_trips = (_round_trips(pipeline) - trips_before) / len(answers)
        return Measured(round(rate), latencies_ms, cpu_ms, by_neighbours, round_trips)


class _RequestQueue:
    """Requests that become due at random times (a Poisson process), at least one.

    How a server hands requests to threads is not measured.
    """

    def __init__(
        self, begin_s: float, end_s: float, rate: float, next_request: Callable[[], Request], rng: random.Random
    ) -> None:
        self._end_s = end_s
        self._rate = rate
        self._next_request = next_request
        self._rng = rng
        self._next_s = min(end_s, begin_s + rng.expovariate(rate))
        self._lock = Lock()

    def take(self, most: int) -> list[tuple[Request, float]]:
        """Take up to `most` requests that are due, with the time since when; wait where none is. Empty at the end."""
        taken: list[tuple[Request, float]] = []
        with self._lock:
            while not taken and self._next_s <= self._end_s:
                time.sleep(max(0.0, self._next_s - time.perf_counter()))
                now_s = time.perf_counter()
                while self._next_s <= min(now_s, self._end_s) and len(taken) < most:
                    taken.append((self._next_request(), self._next_s))
                    self._next_s += self._rng.expovariate(self._rate)
        return taken


def _work_thread(pipeline: Pipeline, queue: _RequestQueue, most: int) -> list[tuple[float, bool]]:
    """Answer requests, up to `most` in one call.

    Returns:
        The latency of each request in ms, and whether its first product comes from neighbour sessions.
    """
    answered: list[tuple[float, bool]] = []
    while due := queue.take(most):
        lists = pipeline.recommend_all([request for request, _ in due])
        done_s = time.perf_counter()
        for (_, due_s), found in zip(due, lists, strict=True):
            answered.append((1_000 * (done_s - due_s), bool(found) and found[0].reason.because_of != ()))
    return answered


def _round_trips(pipeline: Pipeline) -> int:
    """How often Redis has read requests from its clients so far."""
    if not _is_on_redis(pipeline):
        return 0
    return sum(node.info("stats")["total_reads_processed"] for node in pipeline.container.redis_client().masters())


def _memory(pipeline: Pipeline) -> float:
    """The memory that Redis uses, in bytes."""
    return pipeline.container.redis_client().used()["memory_bytes"] if _is_on_redis(pipeline) else 0.0


def _is_on_redis(pipeline: Pipeline) -> bool:
    return pipeline.container.settings().store == "redis"
