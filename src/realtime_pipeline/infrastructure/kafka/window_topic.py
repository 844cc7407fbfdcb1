"""Results of windows as records of topics."""

from collections.abc import Sequence

import attrs

from realtime_pipeline.application.errors import Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.window_topic import WindowTopic
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.infrastructure.codecs.window_results import encode_published, encode_published_key
from realtime_pipeline.infrastructure.kafka.publisher import KafkaEventPublisher
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings


class KafkaWindowTopic(WindowTopic):
    """Publishes to the definition's own topic, or to that of the settings; to none where neither is set.

    A topic is opened at its first result. With compaction a topic keeps the last record of each key.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._publishers: dict[str, KafkaEventPublisher] = {}

    def close(self) -> None:
        """Close all producers."""
        for publisher in self._publishers.values():
            publisher.close()

    def publish(self, definition: WindowedAggregate, results: Sequence[WindowResult]) -> None:
        """Publish results, and wait until all are acknowledged."""
        topic = definition.topic or self._settings.window_results_topic
        if not topic or not results:
            return
        records = [
            Outgoing(encode_published_key(definition, result), encode_published(definition, result))
            for result in results
        ]
        try:
            self._publisher(topic).publish(records)
        except UnrecoverableState as error:
            raise UnrecoverableState(f"{error}; create it: realtime-pipeline topics create") from None
        except Unavailable as error:
            raise Unreachable(f"results of {definition.name} are not published yet: {error}") from None

    def _publisher(self, topic: str) -> KafkaEventPublisher:
        if topic not in self._publishers:
            settings = attrs.evolve(self._settings, topic=topic)
            self._publishers[topic] = KafkaEventPublisher(settings, NoObserver())
        return self._publishers[topic]
