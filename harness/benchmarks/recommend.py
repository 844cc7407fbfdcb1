"""`bench recommend`: how soon lists come when they are asked for at random, and what one costs."""

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
"""What a process that answers has to get ready."""
INGESTED_VISITS: Final = 10_000
APART: Final = 1_000_000
"""Visits between those that are worked off at one rate and at the next."""
LIMIT: Final = 10
RULES: Final = ListRules(hide_bought=True, per_category=4, diversity=0.1, price_max=1_000.0)

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Measured:
    """What those came to who answered requests at a rate; `trips` are requests to the server, each in one go."""

    rate: int
    latencies_ms: list[float]
    cpu_ms: float
    by_neighbours: float
    round_trips: float
    ingested_per_second: float = 0.0

    def figures(self) -> dict[str, float]:
        """What is reported."""
        return {
            "rate": self.rate,
            "p50_ms": percentile(self.latencies_ms, 0.5),
            "p99_ms": percentile(self.latencies_ms, 0.99),
            "max_ms": max(self.latencies_ms),
            "cpu_ms": self.cpu_ms,
            "by_neighbours": self.by_neighbours,
            "trips": self.round_trips,
            "ingested_per_second": self.ingested_per_second,
        }


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a store with sessions, then ask for lists at random moments."""
    if "memory" in {options.log, options.store}:
        raise HarnessError("what one process keeps in memory another cannot read: choose another log and store")
    if options.one_core and not hasattr(os, "sched_setaffinity"):
        raise HarnessError("this system does not say on which core a process runs: leave --one-core out")
    with (
        environment(options) as settings,
        ProcessPoolExecutor(1 + options.processes, get_context("spawn"), max_tasks_per_child=1) as processes,
        Pipeline(settings) as pipeline,
    ):
        before = _memory(pipeline)
        events = processes.submit(_fill, settings, options, 0, options.visits).result()
        grown = _memory(pipeline) - before
        measured = [_measure(processes, settings, options, number) for number in range(len(options.rates))]
    who = f"{options.processes} processes" if options.processes > 1 else "one process"
    who += f" of {options.threads} threads" if options.threads > 1 else ""
    who += f", up to {options.together} requests together" if options.together > 1 else ""
    who += " on one core" if options.one_core else ""
    heading(f"Lists from {options.store}, {options.visits:,} sessions, {options.products:,} products, {who}")
    for answers in measured:
        _show(answers)
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
    return {**found, "rates": [answers.figures() for answers in measured]}


def _show(answers: Measured) -> None:
    p50_ms, p99_ms = (percentile(answers.latencies_ms, share) for share in (0.5, 0.99))
    console.print(f"  {answers.rate:>8,} requests a second at random moments, {len(answers.latencies_ms):,} in all:")
    console.print(
        f"  {p50_ms:>12.1f} ms (p50), {p99_ms:.1f} ms (p99), {max(answers.latencies_ms):.1f} ms at most, "
        "from when they should have begun"
    )
    console.print(f"  {answers.cpu_ms:>12.2f} ms of CPU a request, the client library included")
    if answers.round_trips:
        console.print(f"  {answers.round_trips:>12.1f} round trips to Redis a request")
    console.print(f"  {answers.by_neighbours:>12.0%} of the lists begin with what neighbours chose")
    if answers.ingested_per_second:
        console.print(f"  {answers.ingested_per_second:>12,.0f} events a second were worked off meanwhile")


def _measure(processes: ProcessPoolExecutor, settings: Settings, options: argparse.Namespace, number: int) -> Measured:
    """Ask at one of the rates for a while; what is worked off meanwhile is nobody else's."""
    rate, first = options.rates[number], (number + 1) * max(options.visits, APART)
    begin_s = time.time() + START_UP_S * options.processes  # several begin together
    until_s = begin_s + options.seconds
    ingesting = processes.submit(_ingest, settings, options, until_s, first) if options.ingesting else None
    asking = [
        processes.submit(_answer_requests, settings, options, rate / options.processes, begin_s, options.seed + asker)
        for asker in range(1, options.processes + 1)
    ]
    answers = _combine(rate, [one.result() for one in asking])
    if ingesting is None:
        return answers
    return attrs.evolve(
        answers, ingested_per_second=ingesting.result(), round_trips=0.0
    )  # the worker's trips count too


def _combine(rate: int, parts: Sequence[Measured]) -> Measured:
    """What several processes came to; each has counted the trips of all."""
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
    """Publish visits and work them off; return how many events that are."""
    with Pipeline(settings) as pipeline:
        count = publish(pipeline, _lines(options, first, visits), options.looks * visits)
        process_all(pipeline, count)
    return count


def _ingest(settings: Settings, options: argparse.Namespace, until_s: float, first: int) -> float:
    """Publish more visits and work them off for a while; return events per second."""
    began_s, events = time.time(), 0
    while time.time() < until_s:
        events += _fill(settings, options, first, INGESTED_VISITS)
        first += INGESTED_VISITS
    return events / (time.time() - began_s)


def _lines(options: argparse.Namespace, first: int, visits: int) -> Iterator[SourceRecord]:
    """Visits of some events; products by Zipf's law (of rank r one in r as often as the first), then near ones.

    Two visits a customer.
    """
    dice = random.Random(options.seed + first)
    for visit in range(first, first + visits):
        product = int(options.products ** dice.random()) % options.products
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
            product = (product + dice.choice(NEAR)) % options.products


def _after_ms(visit: int, filled: int) -> int:
    """When a visit begins: of those in the store one in 100 ms, of those that come meanwhile about as they come."""
    return 100 * min(visit, filled) + max(0, visit - filled)


def _answer_requests(
    settings: Settings, options: argparse.Namespace, rate: float, begin_s: float, seed: int
) -> Measured:
    """Ask as an open world would: each request has its moment, whether or not the one before it is done."""
    if options.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    dice = random.Random(seed)
    customers = max(1, options.visits // 2)
    with Pipeline(settings) as pipeline, ThreadPoolExecutor(options.threads) as threads:

        def ask() -> Request:
            return Request(f"customer-{dice.randrange(customers)}", LIMIT, rules=RULES)

        def answered(waiting: _RequestQueue) -> list[tuple[float, bool]]:
            working = [
                threads.submit(_work_thread, pipeline, waiting, options.together) for _ in range(options.threads)
            ]
            return [answer for one in working for answer in one.result()]

        answered(_RequestQueue(0.0, 1.0, WARM_UP, ask, dice))  # who has waited since long ago
        tune_gc(OF_REQUESTS)
        if options.processes > 1:
            time.sleep(max(0.0, begin_s - time.time()))
        trips = _round_trips(pipeline)
        cpu_s, began_s = time.process_time(), time.perf_counter()
        found = answered(_RequestQueue(began_s, began_s + options.seconds, rate, ask, dice))
        cpu_ms = 1_000 * (time.process_time() - cpu_s) / len(found)
        by_neighbours = sum(is_so for _, is_so in found) / len(found)
        latencies_ms = [latency_ms for latency_ms, _ in found]
        return Measured(round(rate), latencies_ms, cpu_ms, by_neighbours, (_round_trips(pipeline) - trips) / len(found))


class _RequestQueue:
    """Those who want a list, each from some random moment on, whether or not anybody is free to answer them.

    There is one at least. What bringing requests to threads costs in a server is no part of it.
    """

    def __init__(
        self, begin_s: float, end_s: float, rate: float, ask: Callable[[], Request], rng: random.Random
    ) -> None:
        self._end_s = end_s
        self._rate = rate
        self._ask = ask
        self._rng = rng
        self._next_s = min(end_s, begin_s + rng.expovariate(rate))
        self._lock = Lock()

    def take(self, most: int) -> list[tuple[Request, float]]:
        """Take those who wait, with the moment since when; wait for one where nobody does. None at the end."""
        taken: list[tuple[Request, float]] = []
        with self._lock:
            while not taken and self._next_s <= self._end_s:
                time.sleep(max(0.0, self._next_s - time.perf_counter()))
                now_s = time.perf_counter()
                while self._next_s <= min(now_s, self._end_s) and len(taken) < most:
                    taken.append((self._ask(), self._next_s))
                    self._next_s += self._rng.expovariate(self._rate)
        return taken


def _work_thread(pipeline: Pipeline, waiting: _RequestQueue, most: int) -> list[tuple[float, bool]]:
    """Answer those who wait, so many together at most; return after how many ms each had their list, and whether
    neighbours led to what comes first."""
    answered: list[tuple[float, bool]] = []
    while asked := waiting.take(most):
        lists = pipeline.recommend_all([request for request, _ in asked])
        done_s = time.perf_counter()
        for (_, due_s), found in zip(asked, lists, strict=True):
            answered.append((1_000 * (done_s - due_s), bool(found) and found[0].reason.because_of != ()))
    return answered


def _round_trips(pipeline: Pipeline) -> int:
    """How often all clients of Redis have sent it something so far."""
    if not _is_on_redis(pipeline):
        return 0
    return sum(node.info("stats")["total_reads_processed"] for node in pipeline.container.redis_client().masters())


def _memory(pipeline: Pipeline) -> float:
    """How many bytes Redis holds."""
    return pipeline.container.redis_client().used()["memory_bytes"] if _is_on_redis(pipeline) else 0.0


def _is_on_redis(pipeline: Pipeline) -> bool:
    return pipeline.container.settings().store == "redis"
