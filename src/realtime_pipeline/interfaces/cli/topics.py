"""`realtime-pipeline topics`: the topics in Kafka, on the command line."""

import argparse
from typing import TYPE_CHECKING, TypeAlias

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.processing.output_positions import InDoubt
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.plurals import counted
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DAY_MS = 86_400_000


def add_topics(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its actions."""
    topics = commands.add_parser("topics", help="create, list, describe or delete the topics in Kafka")
    actions = topics.add_subparsers(required=True, metavar="ACTION")
    defaults = TopicSettings()
    create = actions.add_parser("create", parents=[common], help="create the topics that do not exist yet")
    create.add_argument(
        "--partitions",
        type=int,
        default=defaults.partitions,
        help="number of partitions, which cannot be changed later (default: 24)",
    )
    create.add_argument(
        "--replication", type=int, default=defaults.replication, help="replicas of each partition (default: 1)"
    )
    create.add_argument(
        "--min-insync",
        type=int,
        default=defaults.min_insync,
        help="replicas that must have a record before it counts as written (default: 1)",
    )
    create.add_argument("--retention-days", type=int, default=7, help="days until records are deleted (default: 7)")
    create.add_argument(
        "--compression", default=defaults.compression, help="compression of the topics (default: that of the producer)"
    )
    create.set_defaults(command=_create_topics, reads=False)
    listing = actions.add_parser("list", parents=[common], help="list the topics of the cluster")
    add_json(listing)
    listing.set_defaults(command=_list_topics, reads=False)
    describe = actions.add_parser("describe", parents=[common], help="show partitions and settings of topics")
    describe.add_argument("topics", metavar="TOPIC", nargs="*", help="topics (default: those of this program)")
    add_json(describe)
    describe.set_defaults(command=_describe_topics, reads=False)
    delete = actions.add_parser("delete", parents=[common], help="delete topics with all their records")
    delete.add_argument("topics", metavar="TOPIC", nargs="+")
    delete.add_argument("--yes", action="store_true", required=True, help="confirm: deleted topics cannot be restored")
    delete.set_defaults(command=_delete_topics, reads=False)


def add_outputs(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command that restores the positions of outputs."""
    outputs = commands.add_parser("outputs", help="positions up to which outputs were emitted to Kafka")
    actions = outputs.add_subparsers(required=True, metavar="ACTION")
    restore = actions.add_parser(
        "restore", parents=[common], help="write them if the group's offsets were deleted or have expired"
    )
    restore.add_argument(
        "--in-doubt",
        choices=[choice.value for choice in InDoubt],
        required=True,
        help="outputs that may have been emitted or not: emit them again, or skip them",
    )
    restore.set_defaults(command=_restore_outputs, reads=False)


def _restore_outputs(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    written = pipeline.restore_outputs(options.in_doubt)
    for partition, position in written.items():
        print(f"partition {partition}: outputs are emitted from position {position} on")
    if not written:
        print("the positions of outputs are known for every partition: nothing was changed")


def _create_topics(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    try:
        topic_settings = TopicSettings(
            options.partitions,
            options.replication,
            options.min_insync,
            options.retention_days * DAY_MS,
            options.compression,
        )
    except ValueError as error:
        raise InvalidSettings(str(error)) from None
    topics = _topics(pipeline, settings)
    created = topics.create(topic_settings)
    if created:
        print(f"created on {settings.kafka.brokers}: {', '.join(created)}")
    for name in topics.names:
        if name not in created:
            print(f"{name} exists already, with {counted(topics.describe(name).partitions, 'partition')}")


def _topics(pipeline: Pipeline, settings: Settings) -> "KafkaTopics":
    if settings.log != "kafka":
        raise InvalidSettings(f"topics are in Kafka, and log is {settings.log}: set log = kafka and kafka.brokers")
    return pipeline.container.topics()


def _list_topics(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    names = _topics(pipeline, settings).list()
    if options.json:
        print_json({"topics": list(names)})
        return
    for name in names:
        print(name)


def _describe_topics(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    topics = _topics(pipeline, settings)
    names = options.topics or topics.names
    if options.json:
        print_json({"topics": [topics.describe(name).as_dict() for name in names]})
        return
    for name in names:
        found = topics.describe(name)
        copies = counted(found.replication, "copy", "copies")
        print(f"{found.name}: {counted(found.partitions, 'partition')}, {copies} of each")
        for setting, value in found.settings.items():
            print(f"    {setting} = {value}")
        if found.hidden:
            records = counted(found.hidden, "record is", "records are")
            print(f"    {records} hidden behind a transaction that has not ended (docs/operations.md)")


def _delete_topics(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    _topics(pipeline, settings).delete(options.topics)
    print(f"deleted on {settings.kafka.brokers}: {', '.join(options.topics)}")
