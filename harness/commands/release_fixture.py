"""`release-fixture`: writes small stores with this release, which every later release must read.

The files of the folder:

embedded.db.gz   log and store in one SQLite file; a visitor's profile is in the log and not merged yet
apart.db.gz      the log and the outputs of a store in Redis
redis.jsonl.gz   that store's keys; its last commits are in the outbox, neither merged nor emitted yet
log.jsonl.gz     all records of the embedded log: partition, position, key, value, append time and origin
"""

import argparse
import gzip
import json
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
from dependency_injector import providers

from harness.services.redis import redis_server
from harness.support.errors import HarnessError
from harness.support.log_io import read_log
from realtime_pipeline import AnalyticsSettings, Container, Pipeline, Settings
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

EMBEDDED: Final = "embedded.db.gz"
APART: Final = "apart.db.gz"
KEYS: Final = "redis.jsonl.gz"
LOG: Final = "log.jsonl.gz"
NAMESPACE: Final = "release"
PARTITIONS: Final = 2
NOW_MS: Final = 1_760_000_000_000
_MINUTE_MS: Final = 60_000
_WRITERS: Final = {"string": "SET", "hash": "HSET", "set": "SADD", "zset": "ZADD", "stream": "XADD"}


class FixedClock(Clock):
    """The clock at which fixtures are written and read."""

    def now_ms(self) -> int:
        """The fixed time of all fixtures."""
        return NOW_MS


class _StoppedAfterCommit(Exception):
    """Ends a worker after a commit, as a crash would."""


class _StopAfterCommit(StageObserver):
    """Raises `_StoppedAfterCommit` when the worker has committed records."""

    def reached(self, stage: Stage, records: int) -> None:
        if stage is Stage.COMMITTED and records:
            raise _StoppedAfterCommit


def _event(number: int, kind: str, user: str | None, session: str | None = None, **properties: object) -> bytes:
    document = {
        "event_id": f"e{number}",
        "event_type": kind,
        "user_id": user,
        "session_id": session,
        "timestamp": NOW_MS - 120 * _MINUTE_MS + number * _MINUTE_MS,
        "properties": properties or None,
        "context": {"country": "DE"} if user == "ada" else None,
    }
    return msgspec.json.encode({name: value for name, value in document.items() if value is not None})


def first_events() -> list[bytes]:
    """Events of every kind, a duplicate, an unknown type and garbage: the stores have processed all of them."""
    events: list[bytes] = []

    def add(kind: str, user: str | None, session: str | None = None, **properties: object) -> None:
        events.append(_event(len(events), kind, user, session, **properties))

    for user, products in {"ada": "mug jug pan", "bob": "mug jug tent", "cyd": "mug tent pan"}.items():
        for product in products.split():
            add("view", user, product_id=product, name=product.title(), category="kitchen", price=12.5)
    add("add_to_cart", "ada", product_id="mug", category="kitchen")
    add("purchase", "ada", product_id="mug", price=12.5, quantity=3, order_id="o1", category="kitchen")
    add("cancellation", "ada", product_id="mug", price=12.5, quantity=1, order_id="o1")
    add("review", "ada", product_id="mug", rating=4, text="Solid.")
    add("review", "bob", product_id="tent", rating=2, text="Wet.")
    add("exposure", "ada", products=["tent", "lamp"])
    add("remove_from_cart", "bob", product_id="jug")
    for product in ("mug", "lamp"):
        add("view", None, "s1", product_id=product, category="light")
    add("purchase", None, "s1", product_id="lamp", price=30, quantity=1, order_id="o2", category="light")
    add("sign_in", "ada", "s1")
    add("view", None, "s1", product_id="pan", category="kitchen")
    add("view", "dan", product_id="tent", category="outdoor")
    add("forget", "dan")
    add("view", "eve", "s2", product_id="lamp", category="light")
    add("video_play", "eve")
    return [*events, events[0], b"no event", _event(len(events), "purchase", "eve", product_id="mug", price=-1)]


def last_events() -> list[bytes]:
    """Events that the stores have processed in part: a visitor views, buys and signs in."""
    return [
        _event(60, "view", None, "s3", product_id="tent", category="outdoor"),
        _event(61, "purchase", None, "s3", product_id="pan", price=20, quantity=2, order_id="o3", category="kitchen"),
        _event(62, "review", None, "s3", product_id="pan", rating=5, text="Flat."),
        _event(63, "sign_in", "bob", "s3"),
        _event(64, "view", "cyd", product_id="lamp", category="light"),
        b"[]",
    ]


def later_events() -> list[bytes]:
    """Events that a later release processes: they change what the fixture's release has written."""
    return [
        _event(70, "purchase", "ada", product_id="jug", price=7.25, quantity=1, order_id="o4", category="kitchen"),
        _event(71, "cancellation", "ada", product_id="mug", price=12.5, quantity=1, order_id="o1"),
        _event(72, "review", "ada", product_id="mug", rating=5, text="Still solid."),
        _event(73, "view", "bob", product_id="lamp", category="light"),
        _event(74, "view", None, "s3", product_id="mug", category="kitchen"),
        _event(75, "sign_in", "cyd", "s4"),
        _event(76, "forget", "eve"),
        _event(0, "view", "ada", product_id="mug", name="Mug", category="kitchen", price=12.5),
    ]


def append(pipeline: Pipeline, values: Sequence[bytes]) -> None:
    """Append records to the log as a producer does, also garbage."""
    route = pipeline.container.decoder().routing_key
    keys = [route(value) for value in values]
    outgoing = [Outgoing(None if key is None else key.encode(), value) for key, value in zip(keys, values, strict=True)]
    pipeline.container.publisher().publish(outgoing)


def opened(settings: Settings) -> Pipeline:
    """A pipeline with the clock of the fixtures."""
    container = Container()
    container.clock.override(providers.Object(FixedClock()))
    return Pipeline(settings, container)


def write_fixture(folder: Path) -> Mapping[str, int]:
    """Write the stores of this release; return the size of each file in bytes.

    Raises:
        HarnessError: the folder has stores already; the stores of a release are never overwritten.
    """
    if any((folder / name).exists() for name in (EMBEDDED, APART, KEYS, LOG)):
        raise HarnessError(f"{folder} has a release's stores already: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        _write_embedded(Path(made) / "embedded.db", folder)
        _write_apart(Path(made), folder)
    return {file.name: file.stat().st_size for file in sorted(folder.glob("*.gz"))}


def _write_embedded(database: Path, folder: Path) -> None:
    settings = Settings(partitions=PARTITIONS, database=str(database))
    with opened(settings) as pipeline:
        append(pipeline, first_events())
        pipeline.process()
        append(pipeline, last_events())
        pipeline.container.process_events()(0)  # one round: the messages that it appends are not processed
    with opened(settings) as pipeline:
        records = list(read_log(pipeline.container.log()))
    _compress(database, folder / EMBEDDED)
    records.sort()
    lines = [json.dumps(record_as_dict(record)) for record in records]
    (folder / LOG).write_bytes(_compressed("".join(f"{line}\n" for line in lines).encode()))


def _write_apart(made: Path, folder: Path) -> None:
    database = made / "apart.db"
    with redis_server(made / "redis") as server:
        redis = RedisSettings(nodes=server.endpoint, namespace=NAMESPACE)
        settings = Settings(partitions=PARTITIONS, database=str(database), store="redis", redis=redis)
        with opened(settings) as pipeline:
            append(pipeline, first_events())
            pipeline.process()
        with opened(settings) as pipeline:
            pipeline.container.observer.override(providers.Object(_StopAfterCommit()))
            append(pipeline, last_events())
            with suppress(_StoppedAfterCommit):
                pipeline.process()
            client = pipeline.container.redis_client().masters()[0]
            lines = "".join(f"{json.dumps(entry)}\n" for entry in _keys_of(client))
    _compress(database, folder / APART)
    (folder / KEYS).write_bytes(_compressed(lines.encode()))


def _compress(database: Path, file: Path) -> None:
    """Compress a SQLite file that no connection has open."""
    file.write_bytes(_compressed(database.read_bytes()))


def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def unpack(file: Path, database: Path) -> None:
    """Decompress a SQLite file."""
    database.write_bytes(gzip.decompress(file.read_bytes()))


def record_as_dict(record: Record) -> dict[str, object]:
    """A record as JSON values, its bytes in base 64."""
    key = None if record.key is None else b64encode(record.key).decode()
    return {**record._asdict(), "key": key, "value": b64encode(record.value).decode()}


def records_in(file: Path) -> list[Record]:
    """Read the records from a file of `record_as_dict` lines."""
    found = []
    for line in gzip.decompress(file.read_bytes()).splitlines():
        document = json.loads(line)
        key = None if document["key"] is None else b64decode(document["key"])
        found.append(Record(**{**document, "key": key, "value": b64decode(document["value"])}))
    return found


def _keys_of(client: Any) -> Iterator[dict[str, object]]:
    """Every key of the store: its name, its type, and the arguments of the command that writes its value."""
    for name in sorted(client.scan_iter(f"{NAMESPACE}:*", 1_000)):
        kind = client.type(name).decode()
        for words in _words_of(client, kind, name):
            yield {"name": name.decode(), "type": kind, "words": [b64encode(word).decode() for word in words]}


def _words_of(client: Any, kind: str, name: bytes) -> Iterator[list[bytes]]:
    if kind == "string":
        yield [client.get(name)]
    elif kind == "hash":
        yield [word for pair in sorted(client.hgetall(name).items()) for word in pair]
    elif kind == "set":
        yield sorted(client.smembers(name))
    elif kind == "zset":
        yield [
            word for member, score in client.zrange(name, 0, -1, withscores=True) for word in (b"%d" % score, member)
        ]
    else:
        for number, fields in client.xrange(name):
            yield [number, *(word for pair in fields.items() for word in pair)]


def restore_keys(file: Path, client: Any, namespace: str) -> None:
    """Write the keys of a store into Redis, in another namespace."""
    for line in gzip.decompress(file.read_bytes()).splitlines():
        entry = json.loads(line)
        name = namespace + entry["name"].removeprefix(NAMESPACE)
        client.execute_command(_WRITERS[entry["type"]], name, *map(b64decode, entry["words"]))


def settings_for(database: Path, redis: RedisSettings | None = None) -> Settings:
    """The settings that read a fixture's store, without windows: the oracle counts those of a whole log, and a release
    before them has counted none."""
    settings = Settings(partitions=PARTITIONS, database=str(database), analytics=AnalyticsSettings(shipped=()))
    return settings if redis is None else attrs.evolve(settings, store="redis", redis=redis)


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Write the fixture of this release, and show the size of its files."""
    sizes = write_fixture(options.folder)
    for name, size in sizes.items():
        print(f"{size:>8,} bytes  {options.folder / name}")
    return dict(sizes)
