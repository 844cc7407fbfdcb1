"""Checking that the log's topic is still the topic that the store was built from."""

from collections.abc import Callable

from realtime_pipeline.application.errors import WrongLog
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.infrastructure.kafka.clients import Admin, new_admin
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import TopicDescription, describe_topic, request_description


class TopicIdentity:
    """The topic's id and number of partitions when the log was opened, compared with what the brokers have now.

    A consumer reads by topic name: if the topic is deleted and created again, it would read on in the new topic at
    the offset where it was. So the description is requested when records were polled, and the reply checked before
    they are committed; decoding goes on meanwhile.

    Raises:
        WrongLog: the topic has more partitions than session keys can hold.
        UnrecoverableState: there is no such topic.
        Unavailable: Kafka does not answer.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        topic = describe_topic(settings, settings.topic)
        if topic.partitions > PARTITIONS_MAX:
            raise WrongLog(
                f"topic {settings.topic} has {topic.partitions} partitions: at most {PARTITIONS_MAX} can be told apart"
            )
        self.log = LogIdentity(topic.topic_id, topic.partitions, settings.partitioner)
        self._admin: Admin | None = None
        self._reply: Callable[[], TopicDescription] | None = None

    def request(self) -> None:
        """Request the topic's description; `verify` waits for the reply."""
        if self._admin is None:
            self._admin = new_admin(self._settings)
        self._reply = request_description(self._settings, self._settings.topic, self._admin)

    def drop_request(self) -> None:
        """Forget a request whose reply nobody needs any more."""
        self._reply = None

    def verify(self) -> None:
        """Wait for the reply of the open request, if there is one, and compare it.

        Raises:
            WrongLog: the topic was created again, or has more partitions.
            UnrecoverableState: there is no such topic.
            Unreachable: Kafka does not answer; the request stays open.
        """
        if self._reply is not None:
            self._compare(self._reply())
            self._reply = None

    def verify_now(self) -> None:
        """Request the description and compare it at once; raises as `verify` does."""
        self.request()
        self.verify()

    def _compare(self, topic: TopicDescription) -> None:
        if (topic.topic_id, topic.partitions) != (self.log.log_id, self.log.partitions):
            raise WrongLog(
                f"topic {self._settings.topic} was made again, or given more partitions, under the worker: the store "
                f"was built from log {self.log.log_id}/{self.log.partitions}, this is "
                f"{topic.topic_id}/{topic.partitions}; use another namespace and group"
            )
