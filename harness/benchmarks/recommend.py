"""`bench recommend`: how soon lists come when they are asked for at random, and what one costs."""

import argparse
import random
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final

import attrs
import msgspec

from harness.console import console, heading, percentile
from harness.errors import HarnessError
from harness.feed import publish, work_off
from harness.line import Line
from harness.places import places
from realtime_pipeline import ListRules, Pipeline, Settings
from realtime_pipeline.infrastructure.system.garbage_collector import settle_collector

START_MS: Final = 1_760_000_000_000
LOOKS: Final = 4
NEAR: Final = (-3, -2, -1, 1, 1, 2, 3, 50)
WARM_UP: Final = 200
START_UP_S: Final = 5.0
INGESTED_VISITS: Final = 10_000
LIMIT: Final = 10
RULES: Final = ListRules(hide_bought=True, per_category=4, diversity=0.1, price_max=1_000.0)

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Answers:
    """What one process came to that answers requests."""

    latencies_ms: list[float]
    cpu_ms: float
    lists: int


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a store with sessions, then ask for lists at random moments, one process answering."""
    if "memory" in {options.log, options.store}:
        raise HarnessError("what one process keeps in memory another cannot read: choose another log and store")
    with (
        places(options) as settings,
        ProcessPoolExecutor(2, get_context("spawn"), max_tasks_per_child=1) as processes,
        Pipeline(settings) as pipeline,
    ):
        events = processes.submit(_fill, settings, options, 0, options.visits).result()
        used = pipeline.container.redis_nodes().used() if settings.store == "redis" else {}
        until_s = time.time() + START_UP_S + options.seconds
        ingesting = processes.submit(_ingest, settings, options, until_s) if options.ingesting else None
        answers = processes.submit(_answer, settings, options).result()
        ingested = 0.0 if ingesting is None else ingesting.result()
        figures: dict[str, Any] = {
            "events": events,
            "p50_ms": percentile(answers.latencies_ms, 0.5),
            "p99_ms": percentile(answers.latencies_ms, 0.99),
            "max_ms": max(answers.latencies_ms),
            "cpu_ms": answers.cpu_ms,
            "by_neighbours": answers.lists / len(answers.latencies_ms),
            "ingested_per_second": ingested,
        }
        if settings.store == "redis":
            figures["redis_bytes_per_session"] = used["memory_bytes"] / options.visits
    heading(f"Lists from {options.store}, {options.visits:,} sessions, {options.products:,} products")
    console.print(f"  {options.rate:>10,} requests a second at random moments, {len(answers.latencies_ms):,} in all")
    console.print(
        f"  {figures['p50_ms']:>10.1f} ms (p50), {figures['p99_ms']:.1f} ms (p99), {figures['max_ms']:.1f} ms at most, "
        "from when they should have begun"
    )
    if options.ingesting:
        console.print(
            f"  {figures['ingested_per_second']:>10,.0f} events a second were published and worked off meanwhile"
        )
    console.print(f"  {figures['cpu_ms']:>10.2f} ms of CPU a request, the client library included")
    console.print(f"  {figures['by_neighbours']:>10.0%} of the lists begin with what neighbours chose")
    if "redis_bytes_per_session" in figures:
        console.print(f"  {figures['redis_bytes_per_session']:>10,.0f} bytes of Redis's memory a session, all included")
    return {"store": options.store, "rate": options.rate, "sessions": options.visits, **figures}


def _fill(settings: Settings, options: argparse.Namespace, first: int, visits: int) -> int:
    """Publish visits and work them off; return how many events that are."""
    with Pipeline(settings) as pipeline:
        count = publish(pipeline, _lines(options, first, visits), LOOKS * visits)
        work_off(pipeline, count)
    return count


def _ingest(settings: Settings, options: argparse.Namespace, until_s: float) -> float:
    """Publish more visits and work them off for a while; return events per second."""
    began_s, events, first = time.time(), 0, options.visits
    while time.time() < until_s:
        events += _fill(settings, options, first, INGESTED_VISITS)
        first += INGESTED_VISITS
    return events / (time.time() - began_s)


def _lines(options: argparse.Namespace, first: int, visits: int) -> Iterator[Line]:
    """Visits of four events; products by Zipf's law (of rank r one in r as often as the first), then near ones.

    Two visits a customer.
    """
    dice = random.Random(options.seed + first)
    for visit in range(first, first + visits):
        product = int(options.products ** dice.random()) % options.products
        customer = visit % max(1, options.visits // 2)
        for look in range(LOOKS):
            value = {
                "event_id": f"{visit}-{look}",
                "event_type": "purchase" if look == LOOKS - 1 and visit % 20 == 0 else "view",
                "user_id": f"customer-{customer}",
                "session_id": f"visit-{visit}",
                "timestamp": START_MS + 100 * visit + look,
                "properties": {
                    "product_id": f"product-{product}",
                    "category": f"category-{product % 40}",
                    "price": 1 + product % 500,
                },
            }
            yield Line(None, _encode(value), "bench")
            product = (product + dice.choice(NEAR)) % options.products


def _answer(settings: Settings, options: argparse.Namespace) -> Answers:
    """Ask as an open world would: each request has its moment, whether or not the one before it is done."""
    dice = random.Random(options.seed + 1)
    customers = max(1, options.visits // 2)
    with Pipeline(settings) as pipeline:
        for _ in range(WARM_UP):
            pipeline.recommend(f"customer-{dice.randrange(customers)}", LIMIT, rules=RULES)
        settle_collector()
        latencies_ms = []
        lists = 0
        cpu_s, began_s = time.process_time(), time.perf_counter()
        due_s = began_s
        while due_s < began_s + options.seconds:
            due_s += dice.expovariate(options.rate)
            wait_s = due_s - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            found = pipeline.recommend(f"customer-{dice.randrange(customers)}", LIMIT, rules=RULES)
            latencies_ms.append(1_000 * (time.perf_counter() - due_s))
            lists += bool(found) and found[0].reason.because_of != ()
        cpu_s = time.process_time() - cpu_s
    return Answers(latencies_ms, 1_000 * cpu_s / len(latencies_ms), lists)
