"""The log and store of one run of the harness: its own file, topics and keys, which are deleted at the end."""

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
    """Add the options that choose log and store."""
    parser.add_argument("--log", choices=LOGS, help="(default: from the settings, else sqlite)")
    parser.add_argument("--store", choices=STORES, help="(default: from the settings, else sqlite)")
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.add_argument("--partitions", type=int, help="the number of partitions of a new log")


def complete_environment(options: argparse.Namespace) -> None:
    """Take log and store from the settings where no option names them."""
    if "log" in options and "store" in options:
        settings = load_settings(options.settings, log=options.log, store=options.store)
        options.log, options.store = settings.log, settings.store


@contextmanager
def environment(options: argparse.Namespace) -> Iterator[Settings]:
    """The settings of a run: a file that is deleted afterwards unless an option names it, and own topics and keys."""
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
def _own_topics(settings: Settings, suffix: str) -> Iterator[Settings]:
    kafka = attrs.evolve(
        settings.kafka,
        topic=f"{settings.kafka.topic}-{suffix}",
        dead_letters_topic=f"{settings.kafka.dead_letters_topic}-{suffix}",
        late_events_topic=f"{settings.kafka.late_events_topic}-{suffix}",
        group=f"{settings.kafka.group}-{suffix}",
    )
    own = attrs.evolve(settings, kafka=kafka)
    with Pipeline(own) as pipeline:
        topics = pipeline.container.topics()
        topics.create(TopicSettings(partitions=settings.partitions))
        try:
            yield own
        finally:
            topics.delete([kafka.topic, kafka.dead_letters_topic, kafka.late_events_topic])


@contextmanager
def _own_namespace(settings: Settings, suffix: str) -> Iterator[Settings]:
    own = attrs.evolve(settings, redis=attrs.evolve(settings.redis, namespace=f"{settings.redis.namespace}-{suffix}"))
    with Pipeline(own) as pipeline:
        client = pipeline.container.redis_client()
        try:
            yield own
        finally:
            client.erase(f"{own.redis.namespace}:*")
