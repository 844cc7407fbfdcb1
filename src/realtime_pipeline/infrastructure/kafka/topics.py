"""Creating, listing, describing, truncating and deleting topics."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from realtime_pipeline.application.errors import (
    PipelineError,
    RecoverableError,
    Unavailable,
    Unreachable,
    UnrecoverableState,
)
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.infrastructure.kafka.clients import Admin, is_unknown_topic, new_admin, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings

OUTPUT_BYTES_MAX: Final = 4 << 20
"""`max.message.bytes` of the topics of dead letters and late events: each holds a whole record, and its headers."""

_ALL_AND_READABLE: Final = (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)

_POLL_INTERVAL_S: Final = 0.05
_NO_RESPONSE: Final = frozenset((KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN))

SHOWN_SETTINGS: Final = (
    "retention.ms",
    "min.insync.replicas",
    "compression.type",
    "message.timestamp.type",
    "cleanup.policy",
)


@attrs.frozen
class TopicDescription:
    """A topic as the brokers describe it; `hidden` counts the offsets behind an open transaction.

    Consumers with isolation level `read_committed` do not see the hidden records before the transaction ends.
    """

    name: str
    topic_id: str
    partitions: int
    replication: int
    settings: dict[str, str] = attrs.Factory(dict)
    hidden: int = 0

    def as_dict(self) -> dict[str, object]:
        """Return the fields as values that JSON can hold."""
        return attrs.asdict(self)


def describe_topic(settings: KafkaSettings, name: str, admin: Admin | None = None) -> TopicDescription:
    """Describe a topic, by an existing client or by a new one.

    Raises:
        UnrecoverableState: there is no such topic.
        Unavailable: Kafka does not answer.
    """
    return request_description(settings, name, admin or new_admin(settings))()


def request_description(settings: KafkaSettings, name: str, admin: Admin) -> Callable[[], TopicDescription]:
    """Request the description of a topic. The returned function waits for the reply, and raises as `described` does."""
    admin.pop_access_error()  # errors of earlier calls are not why this one fails
    try:
        future = admin.describe_topics(TopicCollection([name]), request_timeout=settings.request_timeout_ms / 1000)[
            name
        ]
    except KafkaException as error:
        raise _translate(error, settings, f"topic {name}", admin) from None

    def reply() -> TopicDescription:
        try:
            topic = future.result()
        except KafkaException as error:
            raise _translate(error, settings, f"topic {name}", admin) from None
        return TopicDescription(name, str(topic.topic_id), len(topic.partitions), len(topic.partitions[0].replicas))

    return reply


def group_members(settings: KafkaSettings) -> Sequence[str]:
    """Return the ids of the members of the workers' consumer group.

    Raises:
        Unavailable: Kafka does not answer.
    """
    admin = new_admin(settings)
    try:
        group = admin.describe_consumer_groups([settings.group], request_timeout=settings.request_timeout_ms / 1000)[
            settings.group
        ]
        return [member.member_id for member in group.result().members]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise _translate(error, settings, f"group {settings.group}", admin) from None


class KafkaTopics:
    """The pipeline's topics on one cluster; `result_topics` are those that definitions of windows name."""

    def __init__(self, settings: KafkaSettings, result_topics: Iterable[str] = ()) -> None:
        self._settings = settings
        names = (settings.window_results_topic, *result_topics)
        self._result_topics = tuple(dict.fromkeys(name for name in names if name))
        self._process = OpeningProcess()
        self._client = new_admin(settings)

    @property
    def _admin(self) -> Admin:
        self._process.check()
        return self._client

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the topics of the log, of dead letters, of late events, of source positions and of results."""
        settings = self._settings
        return (
            settings.topic,
            settings.dead_letters_topic,
            settings.late_events_topic,
            settings.source_positions_topic,
            *self._result_topics,
        )

    def create(self, topic_settings: TopicSettings) -> Sequence[str]:
        """Create the topics that do not exist, wait until they can be used, and return their names.

        The log's topic gets `LogAppendTime`: the fold measures by the time at which brokers appended a record. The
        topic of source positions has one partition, and is compacted: its last record of a key never expires. Topics of
        results are compacted, and expire.

        Raises:
            Unavailable: a topic was created but cannot be used yet.
        """
        common = {
            "retention.ms": str(topic_settings.retention_ms),
            "min.insync.replicas": str(topic_settings.min_insync),
            "compression.type": topic_settings.compression,
        }
        requested = []
        for name in self.names:
            config, partitions = dict(common), topic_settings.partitions
            if name == self._settings.topic:
                config["message.timestamp.type"] = "LogAppendTime"
            elif name in (self._settings.dead_letters_topic, self._settings.late_events_topic):
                config["max.message.bytes"] = str(OUTPUT_BYTES_MAX)
            elif name in self._result_topics:
                config["cleanup.policy"] = "compact,delete"
            else:
                del config["retention.ms"]
                config["cleanup.policy"], partitions = "compact", 1
            requested.append(NewTopic(name, partitions, topic_settings.replication, config=config))
        created = []
        for name, future in self._admin.create_topics(
            requested, request_timeout=self._settings.request_timeout_ms / 1000
        ).items():
            try:
                future.result()
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._translate(error, f"topic {name}") from None
        for name in created:
            self._wait_until_usable(name)
        return created

    def _wait_until_usable(self, name: str) -> None:
        """Wait until the brokers know a created topic, and each of its partitions has a leader."""
        deadline_s = time.monotonic() + self._settings.request_timeout_ms / 1000
        # A new client: a client keeps its cached leaders, even after they have restarted.
        admin = new_admin(self._settings)
        while True:
            try:
                self._sum_end_offsets(
                    describe_topic(self._settings, name, admin), IsolationLevel.READ_UNCOMMITTED, admin
                )
            except (UnrecoverableState, KafkaException) as error:
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"topic {name} was created, but cannot be used yet: {error}") from None
                time.sleep(_POLL_INTERVAL_S)
            else:
                return

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics with all their records."""
        for name, future in self._admin.delete_topics(
            list(names),
            request_timeout=self._settings.request_timeout_ms / 1000,
            operation_timeout=self._settings.request_timeout_ms / 1000,
        ).items():
            try:
                future.result()
            except KafkaException as error:
                raise self._translate(error, f"topic {name}") from None

    def truncate(self, name: str, before: Mapping[int, int]) -> None:
        """Delete the records of a topic below an offset, given for each partition."""
        topic_partitions = [TopicPartition(name, number, offset) for number, offset in before.items()]
        for future in self._admin.delete_records(
            topic_partitions, request_timeout=self._settings.request_timeout_ms / 1000
        ).values():
            try:
                future.result()
            except KafkaException as error:
                raise self._translate(error, f"topic {name}") from None

    def delete_offsets(self) -> None:
        """Delete the committed offsets of the workers' consumer group.

        Raises:
            Unavailable: the group has members, or Kafka does not answer.
        """
        group = self._settings.group
        for future in self._admin.delete_consumer_groups(
            [group], request_timeout=self._settings.request_timeout_ms / 1000
        ).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise self._translate(error, f"group {group}") from None

    def list(self) -> Sequence[str]:
        """Return the names of all topics on the cluster except Kafka's internal ones."""
        try:
            found = self._admin.list_topics(timeout=self._settings.request_timeout_ms / 1000).topics
        except KafkaException as error:
            raise self._translate(error, "the topics") from None
        return sorted(name for name in found if not name.startswith("__"))

    def describe(self, name: str) -> TopicDescription:
        """Describe a topic, with the settings that matter to the pipeline."""
        found = describe_topic(self._settings, name)
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            config = self._admin.describe_configs([resource], request_timeout=self._settings.request_timeout_ms / 1000)
            entries = config[resource].result()
            end, readable = (self._sum_end_offsets(found, isolation, self._admin) for isolation in _ALL_AND_READABLE)
        except KafkaException as error:
            failure = self._translate(error, f"topic {name}")
            self._client = new_admin(self._settings)  # the old client may keep outdated leaders in its cache
            raise failure from None
        settings = {key: entries[key].value for key in SHOWN_SETTINGS if key in entries}
        return attrs.evolve(found, settings=settings, hidden=max(end - readable, 0))

    def _sum_end_offsets(self, topic: TopicDescription, isolation: IsolationLevel, admin: Admin) -> int:
        """Return the sum of the end offsets of a topic's partitions, as readers of this isolation level see them."""
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        topic_partitions = {TopicPartition(topic.name, number): latest for number in range(topic.partitions)}
        ends = admin.list_offsets(
            topic_partitions, isolation_level=isolation, request_timeout=self._settings.request_timeout_ms / 1000
        )
        return sum(end.result().offset for end in ends.values())

    def _translate(self, error: KafkaException, subject: str) -> PipelineError:
        return _translate(error, self._settings, subject, self._admin)


def _translate(error: KafkaException, settings: KafkaSettings, subject: str, admin: Admin) -> PipelineError:
    denial = admin.pop_access_error() if error.args[0].code() in _NO_RESPONSE else None
    found = translate_error(denial or error.args[0], subject)
    if not isinstance(found, RecoverableError):
        return found
    if is_unknown_topic(error.args[0]):
        return UnrecoverableState(str(found))
    what_failed = "does not answer about" if error.args[0].code() in _NO_RESPONSE else "refuses a request about"
    return Unreachable(f"Kafka at {settings.brokers} {what_failed} {subject}: {error.args[0].str()}")


def topic_bounds(settings: KafkaSettings, name: str, isolation: IsolationLevel) -> dict[int, tuple[int, int]]:
    """Return the low and the high watermark offset of each partition of a topic.

    They are the first offset still held, and the offset after the last one that readers of this isolation level see.

    Raises:
        UnrecoverableState: there is no such topic.
        Unavailable: Kafka does not answer.
    """
    admin = new_admin(settings)
    partitions = range(describe_topic(settings, name, admin).partitions)
    specs: tuple[OffsetSpec, OffsetSpec] = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    try:
        low, high = (
            {
                topic_partition.partition: offset.result().offset
                for topic_partition, offset in admin.list_offsets(
                    {TopicPartition(name, number): spec for number in partitions},
                    isolation_level=isolation,
                    request_timeout=settings.request_timeout_ms / 1000,
                ).items()
            }
            for spec in specs
        )
    except KafkaException as error:
        raise _translate(error, settings, f"topic {name}", admin) from None
    return {number: (low[number], high[number]) for number in partitions}
