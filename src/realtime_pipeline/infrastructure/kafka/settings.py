"""Settings of the Kafka brokers, topics, clients and timeouts."""

from typing import Final, Literal

import attrs

from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.domain.profile.session import PARTITIONS_MAX
from realtime_pipeline.infrastructure.secrets import secret

LIBRDKAFKA_MAX: Final = 2**31 - 1
LINGER_MS_MAX: Final = 900_000
FETCHED_KILOBYTES_MAX: Final = 2_097_151
"""The largest values that librdkafka accepts (its CONFIGURATION.md)."""

OPTION_TYPES = str | int | float | bool


@attrs.frozen
class KafkaSettings:
    """Brokers, topics, the workers' consumer group, and the timeouts of clients.

    `brokers` are `host:port`, separated by commas. `partitioner` says how producers assign keys to partitions:
    `consistent` (CRC-32), or `murmur2` if some producers are written in Java; it is fixed once a store is built. With
    `group_protocol = "auto"` workers use the consumer group protocol of KIP-848 if the brokers support it, else the
    classic protocol with the cooperative-sticky assignor. Results of final windows go to `window_results_topic`; to no
    topic where it is empty. `librdkafka` sets any option of librdkafka by its own name,
    also those of SASL and TLS; a password comes from the environment (`REALTIME_PIPELINE_KAFKA__PASSWORD`) or from
    `password_file`.
    """

    brokers: str = "127.0.0.1:9092"
    topic: str = "user_events"
    dead_letters_topic: str = "dead_letters"
    late_events_topic: str = "late_events"
    window_results_topic: str = ""
    source_positions_topic: str = "source_positions"
    group: str = "realtime-pipeline"
    partitioner: Literal["consistent", "murmur2"] = "consistent"
    group_protocol: Literal["auto", "consumer", "classic"] = "auto"
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    compression: str = "lz4"
    linger_ms: int = 5
    queue_buffering_max_messages: int = 100_000
    delivery_timeout_ms: int = 30_000
    request_timeout_ms: int = 15_000
    queued_max_messages_kbytes: int = 65_536
    outputs_linger_ms: int = 1_000
    transaction_timeout_ms: int = 8_000
    librdkafka: dict[str, OPTION_TYPES] = attrs.field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        at_least(0, self)
        at_most(LIBRDKAFKA_MAX, self)
        at_most(LINGER_MS_MAX, self, "linger_ms")
        at_most(FETCHED_KILOBYTES_MAX, self, "queued_max_messages_kbytes")
        if self.transaction_timeout_ms > 8_000:
            raise ValueError(
                "kafka.transaction_timeout_ms must be at most 8000: after a crash workers wait for so long"
            )
        for name in ("brokers", "topic", "dead_letters_topic", "late_events_topic", "source_positions_topic", "group"):
            if not getattr(self, name):
                raise ValueError(f"kafka.{name} must not be empty")

    def options(self) -> dict[str, OPTION_TYPES]:
        """Return the librdkafka options of every client."""
        options: dict[str, OPTION_TYPES] = {"bootstrap.servers": self.brokers, "log_level": 3}
        if self.username:
            options |= {
                "sasl.username": self.username,
                "sasl.password": secret(self.password, self.password_file, "kafka.password_file"),
            }
        return options | self.librdkafka


@attrs.frozen
class KafkaTopicSettings:
    """A topic of others that is read as a source: its cluster, how to sign in there, and timeouts.

    The positions are in the pipeline's log. With `group`, they are committed to that consumer group too, for monitoring
    alone; no member may join it. With `skip_lost`, reading goes on with the first record there is where the topic does
    not have the record at a position any more. A password comes from the environment or from `password_file`.
    """

    topic: str
    brokers: str = "127.0.0.1:9092"
    group: str = ""
    skip_lost: bool = False
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    request_timeout_ms: int = 5_000
    queued_max_messages_kbytes: int = 16_384
    librdkafka: dict[str, OPTION_TYPES] = attrs.field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(LIBRDKAFKA_MAX, self)
        at_most(FETCHED_KILOBYTES_MAX, self, "queued_max_messages_kbytes")
        for name in ("brokers", "topic"):
            if not getattr(self, name):
                raise ValueError(f"{name} of a source in Kafka must not be empty")

    def clients(self) -> KafkaSettings:
        """Return the settings by which clients of this cluster are made."""
        return KafkaSettings(
            brokers=self.brokers,
            topic=self.topic,
            username=self.username,
            password=self.password,
            password_file=self.password_file,
            request_timeout_ms=self.request_timeout_ms,
            queued_max_messages_kbytes=self.queued_max_messages_kbytes,
            librdkafka=self.librdkafka,
        )


@attrs.frozen
class TopicSettings:
    """How topics are created. `min_insync` replicas must have a record before it is acknowledged."""

    partitions: int = 24
    replication: int = 1
    min_insync: int = 1
    retention_ms: int = 7 * 86_400_000
    compression: str = "producer"

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        if self.partitions > PARTITIONS_MAX:
            raise ValueError(f"partitions must be at most {PARTITIONS_MAX}, not {self.partitions}")
