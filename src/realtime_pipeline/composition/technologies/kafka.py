"""The log in Kafka, with outputs, dead letters and late events in topics."""

from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.outputs import GroupOutputs
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.application.ports.window_topic import WindowTopic
from realtime_pipeline.composition.parts import LogTechnology, Parts
from realtime_pipeline.composition.technologies import memory


def _publisher(parts: Parts) -> EventPublisher:
    from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher

    publisher = KafkaEventPublisher(parts.settings().kafka, parts.observer())
    parts.resources().callback(publisher.close)
    return publisher


def _source_publisher(parts: Parts, source: str) -> SourcePublisher:
    from realtime_pipeline.infrastructure.kafka.source_publisher import KafkaSourcePublisher

    return KafkaSourcePublisher(parts.settings().kafka, parts.observer(), source)


def _log(parts: Parts) -> EventLog:
    return parts.kafka_log()


def _reader(parts: Parts) -> LogReader:
    from realtime_pipeline.infrastructure.kafka.log_reader import KafkaLogReader

    return KafkaLogReader(parts.settings().kafka)


def _window_topic(parts: Parts) -> WindowTopic:
    from realtime_pipeline.infrastructure.kafka.window_topic import KafkaWindowTopic

    topic = KafkaWindowTopic(parts.settings().kafka)
    parts.resources().callback(topic.close)
    return topic


def outputs(parts: Parts) -> GroupOutputs:
    """Outputs in topics: dead letters and late events in their own, messages in the log's; positions as offsets of the
    consumer group."""
    from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

    return KafkaOutputs(parts.settings().kafka, parts.kafka_log(), parts.observer())


def dead_letters(parts: Parts) -> DeadLetters:
    """Marks in the topic of dead letters, after the letters."""
    from realtime_pipeline.infrastructure.kafka.dead_letters import KafkaDeadLetters
    from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

    if not isinstance(
        parts.outputs(), KafkaOutputs
    ):  # swapped outputs: their letters can be read, but not marked in topics
        return memory.dead_letters(parts)
    return KafkaDeadLetters(parts.settings().kafka, parts.observer())


def late_events(parts: Parts) -> LateEvents:
    """The topic of late events."""
    from realtime_pipeline.infrastructure.kafka.late_events import KafkaLateEvents
    from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

    if not isinstance(parts.outputs(), KafkaOutputs):  # swapped outputs, which may write to no topic
        return memory.late_events(parts)
    return KafkaLateEvents(parts.settings().kafka)


LOG = LogTechnology(
    publisher=_publisher,
    source_publisher=_source_publisher,
    log=_log,
    reader=_reader,
    name=lambda settings: f"topic {settings.kafka.topic}",
    retention=lambda settings: Retained(RetainedCode.LOG, RetainedUntil.TOPIC_RETENTION, settings.kafka.topic),
    window_topic=_window_topic,
    module="confluent_kafka",
)
