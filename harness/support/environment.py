"""Where a run of the harness keeps its log and its store: places of its own, gone when it has ended."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import attrs

from harness.support.console import database_file
from realtime_pipeline import Pipeline, Settings, load_settings
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings

LOGS = ("sqlite", "memory", "kafka")
STORES = ("sqlite", "memory", "redis")


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Let the command line choose log and store."""
    parser.add_argument("--log", choices=LOGS, help="(default: as the settings say, else sqlite)")
    parser.add_argument("--store", choices=STORES, help="(default: as the settings say, else sqlite)")
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.add_argument("--partitions", type=int, help="into how many partitions a new log is cut")


def complete_environment(options: argparse.Namespace) -> None:
    """Where no log or store was given, take those of the settings."""
    if "log" in options and "store" in options:
        settings = load_settings(options.settings, log=options.log, store=options.store)
        options.log, options.store = settings.log, settings.store


@contextmanager
def environment(options: argparse.Namespace) -> Iterator[Settings]:
    """Settings for a run: a file that is deleted afterwards, unless it was named; topics and keys of its own."""
    with ExitStack() as stack:
        file = stack.enter_context(database_file(getattr(options, "database", None)))
        settings = load_settings(
            options.settings, database=str(file), log=options.log, store=options.store, partitions=options.partitions
        )
        suffix = uuid4().hex[:8]
        if settings.log == "kafka":
            settings = stack.enter_context(_own_topics(settings, suffix))
        if settings.store == "redis":
            settings = stack.enter_context(_own_namespace(settings, suffix))
        yield settings


@contextmanager
def _own_topics(settings: Settings, mark: str) -> Iterator[Settings]:
    kafka = attrs.evolve(
        settings.kafka,
        topic=f"{settings.kafka.topic}-{mark}",
        dead_letters_topic=f"{settings.kafka.dead_letters_topic}-{mark}",
        group=f"{settings.kafka.group}-{mark}",
    )
    marked = attrs.evolve(settings, kafka=kafka)
    with Pipeline(marked) as pipeline:
        topics = pipeline.container.topics()
        topics.create(TopicSettings(partitions=settings.partitions))
        try:
            yield marked
        finally:
            topics.delete([kafka.topic, kafka.dead_letters_topic])


@contextmanager
def _own_namespace(settings: Settings, mark: str) -> Iterator[Settings]:
    marked = attrs.evolve(settings, redis=attrs.evolve(settings.redis, namespace=f"{settings.redis.namespace}-{mark}"))
    with Pipeline(marked) as pipeline:
        nodes = pipeline.container.redis_client()
        try:
            yield marked
        finally:
            nodes.erase(f"{marked.redis.namespace}:*")
