"""The topics: made, listed, described, deleted."""

import time
from collections.abc import Callable, Mapping, Sequence
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
from realtime_pipeline.infrastructure.kafka.clients import Admin, is_gone, made_admin, translate_error
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings, TopicSettings

OUTPUT_BYTES_MAX: Final = 4 << 20
"""What comes out may be larger than what went in: a dead letter is a whole record, with the reason and its place."""

_ALL_AND_READABLE: Final = (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)

_LOOK_AGAIN_S: Final = 0.05
_UNANSWERED: Final = frozenset((KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN))

SHOWN_SETTINGS: Final = (
    "retention.ms",
    "min.insync.replicas",
    "compression.type",
    "message.timestamp.type",
    "cleanup.policy",
)


@attrs.frozen
class Described:
    """A topic as the brokers have it; `hidden` records lie behind a transaction that has not ended."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    settings: dict[str, str] = attrs.Factory(dict)
    hidden: int = 0

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it, field by field."""
        return attrs.asdict(self)


def described(settings: KafkaSettings, name: str, admin: Admin | None = None) -> Described:
    """Describe a topic, by a client that is there already or by one of its own.

    Raises:
        UnrecoverableState: there is no such topic.
        Unavailable: Kafka does not answer.
    """
    return asked(settings, name, admin or made_admin(settings))()


def asked(settings: KafkaSettings, name: str, admin: Admin) -> Callable[[], Described]:
    """Ask what a topic is; what is returned waits for the answer, and raises what `described` does."""
    admin.refusal()  # what was heard before is not why this call fails
    try:
        future = admin.describe_topics(TopicCollection([name]), request_timeout=settings.request_timeout_ms / 1000)[
            name
        ]
    except KafkaException as error:
        raise _failure(error, settings, f"topic {name}", admin) from None

    def answer() -> Described:
        try:
            topic = future.result()
        except KafkaException as error:
            raise _failure(error, settings, f"topic {name}", admin) from None
        return Described(name, str(topic.topic_id), len(topic.partitions), len(topic.partitions[0].replicas))

    return answer


def members(settings: KafkaSettings) -> Sequence[str]:
    """The ids of the members of the workers' group.

    Raises:
        Unavailable: Kafka does not answer.
    """
    admin = made_admin(settings)
    try:
        group = admin.describe_consumer_groups([settings.group], request_timeout=settings.request_timeout_ms / 1000)[
            settings.group
        ]
        return [member.member_id for member in group.result().members]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise _failure(error, settings, f"group {settings.group}", admin) from None


class KafkaTopics:
    """The project's topics on one cluster."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._process = OpeningProcess()
        self._client = made_admin(settings)

    @property
    def _admin(self) -> Admin:
        self._process.check()
        return self._client

    @property
    def names(self) -> tuple[str, ...]:
        """The log, and what workers write: the dead letters."""
        return (self._settings.topic, self._settings.dead_letters_topic)

    def create(self, topic_rules: TopicSettings) -> Sequence[str]:
        """Make the topics that are not there, and wait until they can be used; return their names.

        The log's records carry the time at which the brokers took them in: the fold measures by it.

        Raises:
            Unavailable: a topic was made and cannot be used yet.
        """
        common = {
            "retention.ms": str(topic_rules.retention_ms),
            "min.insync.replicas": str(topic_rules.min_insync),
            "compression.type": topic_rules.compression,
        }
        new = []
        for name in self.names:
            config = dict(common)
            if name == self._settings.topic:
                config["message.timestamp.type"] = "LogAppendTime"
            else:
                config["max.message.bytes"] = str(OUTPUT_BYTES_MAX)
            new.append(NewTopic(name, topic_rules.partitions, topic_rules.replication, config=config))
        made = []
        for name, future in self._admin.create_topics(
            new, request_timeout=self._settings.request_timeout_ms / 1000
        ).items():
            try:
                future.result()
                made.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._failure(error, f"topic {name}") from None
        for name in made:
            self._wait_for(name)
        return made

    def _wait_for(self, name: str) -> None:
        """Wait until the brokers have heard of a topic that was made, and some broker leads each partition."""
        deadline_s = time.monotonic() + self._settings.request_timeout_ms / 1000
        admin = made_admin(
            self._settings
        )  # of its own: a client keeps what it knows of leaders, over a restart of theirs
        while True:
            try:
                self._ends(described(self._settings, name, admin), IsolationLevel.READ_UNCOMMITTED, admin)
            except (UnrecoverableState, KafkaException) as error:
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"topic {name} was made, and cannot be used yet: {error}") from None
                time.sleep(_LOOK_AGAIN_S)
            else:
                return

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics and all that is in them."""
        for name, future in self._admin.delete_topics(
            list(names),
            request_timeout=self._settings.request_timeout_ms / 1000,
            operation_timeout=self._settings.request_timeout_ms / 1000,
        ).items():
            try:
                future.result()
            except KafkaException as error:
                raise self._failure(error, f"topic {name}") from None

    def truncate(self, name: str, before: Mapping[int, int]) -> None:
        """Delete the records of a topic that lie before a position, by partition."""
        places = [TopicPartition(name, number, position) for number, position in before.items()]
        for future in self._admin.delete_records(
            places, request_timeout=self._settings.request_timeout_ms / 1000
        ).values():
            try:
                future.result()
            except KafkaException as error:
                raise self._failure(error, f"topic {name}") from None

    def delete_offsets(self) -> None:
        """Delete what the workers' group has committed.

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
                    raise self._failure(error, f"group {group}") from None

    def list(self) -> Sequence[str]:
        """The names of all topics on the cluster but Kafka's own."""
        try:
            found = self._admin.list_topics(timeout=self._settings.request_timeout_ms / 1000).topics
        except KafkaException as error:
            raise self._failure(error, "the topics") from None
        return sorted(name for name in found if not name.startswith("__"))

    def describe(self, name: str) -> Described:
        """Describe a topic, with the settings that matter here."""
        found = described(self._settings, name)
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            config = self._admin.describe_configs([resource], request_timeout=self._settings.request_timeout_ms / 1000)
            entries = config[resource].result()
            end, readable = (self._ends(found, isolation, self._admin) for isolation in _ALL_AND_READABLE)
        except KafkaException as error:
            failure = self._failure(error, f"topic {name}")
            self._client = made_admin(
                self._settings
            )  # what the old one knows of leaders may be outdated, and it keeps it
            raise failure from None
        settings = {key: entries[key].value for key in SHOWN_SETTINGS if key in entries}
        return attrs.evolve(found, settings=settings, hidden=max(end - readable, 0))

    def _ends(self, topic: Described, isolation: IsolationLevel, admin: Admin) -> int:
        """Where a topic's partitions end for such readers, added up."""
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(topic.name, number): latest for number in range(topic.partitions)}
        ends = admin.list_offsets(
            places, isolation_level=isolation, request_timeout=self._settings.request_timeout_ms / 1000
        )
        return sum(end.result().offset for end in ends.values())

    def _failure(self, error: KafkaException, of_what: str) -> PipelineError:
        return _failure(error, self._settings, of_what, self._admin)


def _failure(error: KafkaException, settings: KafkaSettings, of_what: str, admin: Admin) -> PipelineError:
    refusal = admin.refusal() if error.args[0].code() in _UNANSWERED else None
    found = translate_error(refusal or error.args[0], of_what)
    if not isinstance(found, RecoverableError):
        return found
    if is_gone(error.args[0]):
        return UnrecoverableState(str(found))
    said = "does not answer about" if error.args[0].code() in _UNANSWERED else "refuses what was asked of"
    return Unreachable(f"Kafka at {settings.brokers} {said} {of_what}: {error.args[0].str()}")


def topic_bounds(settings: KafkaSettings, name: str, isolation: IsolationLevel) -> dict[int, tuple[int, int]]:
    """The first offset still held, and the one after the last that such readers see, of each partition of a topic.

    Raises:
        UnrecoverableState: there is no such topic.
        Unavailable: Kafka does not answer.
    """
    admin = made_admin(settings)
    numbers = range(described(settings, name, admin).partitions)
    asked_for: tuple[OffsetSpec, OffsetSpec] = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    try:
        first, last = (
            {
                place.partition: found.result().offset
                for place, found in admin.list_offsets(
                    {TopicPartition(name, number): spec for number in numbers},
                    isolation_level=isolation,
                    request_timeout=settings.request_timeout_ms / 1000,
                ).items()
            }
            for spec in asked_for
        )
    except KafkaException as error:
        raise _failure(error, settings, f"topic {name}", admin) from None
    return {number: (first[number], last[number]) for number in numbers}
