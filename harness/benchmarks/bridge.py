"""`bench bridge`: records per CPU-second of the process that reads a queue into the log, beside plain reading."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import attrs

from harness.benchmarks.worker import shop_events
from harness.services.kafka import kafka_broker
from harness.services.redis import redis_server
from harness.support.console import console, heading
from harness.support.errors import HarnessError
from harness.support.log_io import publish
from harness.support.source_record import SourceRecord as Line
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source import Source, SourceRecord
from realtime_pipeline.infrastructure.kafka.read_range import open_consumer, read_range
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, KafkaTopicSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topic_source import KafkaTopicSource
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisStreamSettings
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource

NAME: Final = "others"
READ_RECORDS: Final = 2_000
CHUNK: Final = 500
WAIT_S: Final = 10.0
WORDS: Final = {"plain": "plainly", "source": "by the source", "log": "into the log"}


@attrs.frozen
class Queue:
    """A filled queue: makes its source, and reads it plainly by its client; both are called in another process."""

    source: Callable[[], Source]
    read_plainly: Callable[[int], int]


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Fill a queue; read it plainly, by the source alone, and into a log in SQLite, each in a process of its own."""
    events = list(shop_events(argparse.Namespace(events=options.events, seed=7, products=2_000, customers=50_000)))
    with (
        tempfile.TemporaryDirectory(prefix="bridge-", ignore_cleanup_errors=True) as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes,
        SOURCES[options.source](Path(folder), events) as queue,
    ):
        figures: dict[str, float] = {"record_bytes": sum(map(len, events)) / len(events)}
        database = str(Path(folder) / "shop.db")
        for name, call in (
            ("plain", _Plain(queue)),
            ("source", _Read(queue)),
            ("log", _Published(queue, database)),
        ):
            records, cpu_s, seconds = processes.submit(call, len(events)).result()
            if records != len(events):
                raise HarnessError(f"{records} of {len(events)} records were read {WORDS[name]}")
            figures[f"{name}_per_cpu_second"] = records / cpu_s
            figures[f"{name}_per_second"] = records / seconds
    heading(f"{options.source}: {len(events):,} records of {figures['record_bytes']:.0f} bytes, one reading process")
    for name, words in WORDS.items():
        per_cpu_s, per_s = figures[f"{name}_per_cpu_second"], figures[f"{name}_per_second"]
        console.print(f"  {per_cpu_s:>12,.0f} records per CPU-second, {per_s:,.0f} per second, read {words}")
    return {"source": options.source, "records": len(events), **figures}


@attrs.frozen
class _Plain:
    """Reads the queue by its client."""

    queue: Queue

    def __call__(self, expected: int) -> tuple[int, float, float]:
        return _timed(lambda: self.queue.read_plainly(expected))


@attrs.frozen
class _Read:
    """Reads the queue by its source, and drops the records."""

    queue: Queue

    def __call__(self, expected: int) -> tuple[int, float, float]:
        return _timed(self._read)

    def _read(self) -> int:
        source, count = self.queue.source(), 0
        source.open({})
        while (batch := source.read(READ_RECORDS, 0.0)) is not None:
            count += len(batch.records)
        source.close()
        return count


@attrs.frozen
class _Published:
    """Reads the queue into a log in SQLite."""

    queue: Queue
    database: str

    def __call__(self, expected: int) -> tuple[int, float, float]:
        with Pipeline(Settings(database=self.database)) as pipeline:
            run_source, routing_key = pipeline.container.run_source(), pipeline.container.decoder().routing_key

            def prepare(record: SourceRecord) -> Sequence[Outgoing]:
                if not isinstance(record.value, bytes):
                    raise HarnessError(f"{record.origin} is no document")
                key = routing_key(record.value)
                return [Outgoing(None if key is None else key.encode(), record.value, record.origin)]

            return _timed(lambda: run_source.catch_up(self.queue.source(), prepare).published)


def _timed(call: Callable[[], int]) -> tuple[int, float, float]:
    """Call; return what it returned, the CPU time of this process, and the seconds."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    count = call()
    return count, time.process_time() - began_cpu_s, time.perf_counter() - began_s


@attrs.frozen
class _Topic:
    settings: KafkaTopicSettings

    def source(self) -> Source:
        return KafkaTopicSource(NAME, self.settings)

    def read_plainly(self, expected: int) -> int:
        with open_consumer(self.settings.clients(), "the queue") as consumer:
            return sum(1 for _ in read_range(consumer, self.settings.topic, 0, 0, expected, WAIT_S))


@contextmanager
def _topic(folder: Path, events: Sequence[bytes]) -> Iterator[Queue]:
    with kafka_broker(folder / "kafka") as broker:
        kafka = KafkaSettings(brokers=broker.endpoint, topic=NAME)
        with Pipeline(Settings(log="kafka", store="memory", kafka=kafka)) as pipeline:
            pipeline.container.topics().create(TopicSettings(partitions=1))
            publish(pipeline, (Line(None, event, "bench") for event in events), len(events))
        topic = _Topic(KafkaTopicSettings(NAME, broker.endpoint))
        yield Queue(topic.source, topic.read_plainly)


@attrs.frozen
class _Stream:
    settings: RedisStreamSettings

    def source(self) -> Source:
        return RedisStreamSource(NAME, self.settings)

    def read_plainly(self, expected: int) -> int:
        client, count, after = RedisClient(self.settings.client()), 0, "-"
        while entries := client.execute([(NAME, ("XRANGE", NAME, after, "+", "COUNT", CHUNK))])[0]:
            count, after = count + len(entries), f"({entries[-1][0].decode()}"
        client.close()
        return count


@contextmanager
def _stream(folder: Path, events: Sequence[bytes]) -> Iterator[Queue]:
    with redis_server(folder / "redis") as server:
        stream = _Stream(RedisStreamSettings((NAME,), server.endpoint, field="json"))
        client = RedisClient(stream.settings.client())
        for begin in range(0, len(events), CHUNK):
            client.execute([(NAME, ("XADD", NAME, "*", "json", event)) for event in events[begin : begin + CHUNK]])
        client.close()
        yield Queue(stream.source, stream.read_plainly)


@contextmanager
def _kinesis(folder: Path, events: Sequence[bytes]) -> Iterator[Queue]:
    from harness.benchmarks.bridge_kinesis import kinesis_queue  # noqa: PLC0415  # boto3 is an extra

    with kinesis_queue(folder, events) as stream:
        yield Queue(stream.source, stream.read_plainly)


SOURCES: Final = {"kafka": _topic, "kinesis": _kinesis, "redis-stream": _stream}
