"""`realtime-pipeline topics`: the topics in Kafka, on the command line."""

import argparse
from typing import TypeAlias

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.infrastructure.kafka.rules import TopicRules
from realtime_pipeline.pipeline import Pipeline
from realtime_pipeline.settings import Settings

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DAY_MS = 86_400_000


def add_topics(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its actions."""
    topics = commands.add_parser("topics", help="make, list, describe or delete the topics in Kafka")
    actions = topics.add_subparsers(required=True, metavar="ACTION")
    defaults = TopicRules()
    create = actions.add_parser("create", parents=[common], help="make the topics that are not there")
    create.add_argument(
        "--partitions", type=int, default=defaults.partitions, help="into how many parts: fixed for good (default: 24)"
    )
    create.add_argument("--replication", type=int, default=defaults.replication, help="copies of each (default: 1)")
    create.add_argument(
        "--min-insync", type=int, default=defaults.min_insync, help="copies that must have a record (default: 1)"
    )
    create.add_argument("--retention-days", type=int, default=7, help="for how long records are kept (default: 7)")
    create.add_argument("--compression", default=defaults.compression, help="(default: as the producer has it)")
    create.set_defaults(command=_create_topics, reads=False)
    listing = actions.add_parser("list", parents=[common], help="list the topics of the cluster")
    listing.set_defaults(command=_list_topics, reads=False)
    describe = actions.add_parser("describe", parents=[common], help="show partitions and settings of topics")
    describe.add_argument("topics", metavar="TOPIC", nargs="*", help="(default: those of this program)")
    describe.set_defaults(command=_describe_topics, reads=False)
    delete = actions.add_parser("delete", parents=[common], help="delete topics, with all that is in them")
    delete.add_argument("topics", metavar="TOPIC", nargs="+")
    delete.set_defaults(command=_delete_topics, reads=False)


def _create_topics(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    try:
        rules = TopicRules(
            options.partitions,
            options.replication,
            options.min_insync,
            options.retention_days * DAY_MS,
            options.compression,
        )
    except ValueError as error:
        raise InvalidSettings(str(error)) from None
    made = pipeline.container.topics().create(rules)
    print(f"made {', '.join(made)}" if made else "all topics are there already")


def _list_topics(pipeline: Pipeline, _settings: Settings, _options: argparse.Namespace) -> None:
    for name in pipeline.container.topics().list():
        print(name)


def _describe_topics(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    topics = pipeline.container.topics()
    for name in options.topics or topics.names:
        found = topics.describe(name)
        print(f"{found.name}: {found.partitions} partitions, {found.replication} copies of each")
        for setting, value in found.settings.items():
            print(f"    {setting} = {value}")
        if found.hidden:
            print(f"    {found.hidden} records are hidden behind a transaction that has not ended (docs/operations.md)")


def _delete_topics(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    pipeline.container.topics().delete(options.topics)
    print(f"deleted {', '.join(options.topics)}")
