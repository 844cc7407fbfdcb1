"""Making Kafka clients, and what their errors mean."""

import logging
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from realtime_pipeline.application.errors import Refusal, Stopped, Unavailable, Unreachable
from realtime_pipeline.infrastructure.kafka.rules import OPTION_TYPES, KafkaRules

Client = TypeVar("Client", Producer, Consumer, AdminClient)

quiet = logging.getLogger("realtime_pipeline.kafka")
quiet.addHandler(logging.NullHandler())
"""librdkafka's own words about brokers that come and go: for who wants to hear them."""

_GONE = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION))
_SHUT = frozenset(
    (
        KafkaError._AUTHENTICATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    )
)


def made_producer(rules: KafkaRules, more: dict[str, OPTION_TYPES]) -> Producer:
    """A producer: every record acknowledged by all replicas in sync, none twice, none out of order."""
    options = {
        "compression.type": rules.compression,
        "linger.ms": rules.linger_ms,
        "queue.buffering.max.messages": rules.queued_messages_max,
        **rules.options(),
        "acks": "all",
        "enable.idempotence": True,
        **more,
    }
    return _made(Producer, options)


def made_consumer(rules: KafkaRules, more: dict[str, OPTION_TYPES]) -> Consumer:
    """A consumer that commits nothing by itself, and sees only what was committed."""
    options = {
        "queued.max.messages.kbytes": rules.fetched_kilobytes_max,
        "fetch.wait.max.ms": 100,
        **rules.options(),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        **more,
    }
    return _made(Consumer, options)


def made_admin(rules: KafkaRules) -> AdminClient:
    """A client that makes and describes topics."""
    return _made(AdminClient, rules.options())


def _made(kind: type[Client], options: dict[str, OPTION_TYPES]) -> Client:
    try:
        return kind(options, logger=quiet)
    except (KafkaException, ValueError, TypeError) as error:
        raise Unavailable(f"Kafka settings make no sense: {error}") from None


def is_gone(error: KafkaError) -> bool:
    """Whether a broker knows no such topic."""
    return error.code() in _GONE


def meaning(error: KafkaError, of_what: str) -> Refusal | Stopped | Unavailable:
    """What an error of Kafka means to the worker."""
    if is_gone(error):  # as a broker says that has just started, too
        return Unreachable(f"{of_what}: the topic is not there; create it (realtime-pipeline topics create)")
    if error.code() in _SHUT:
        return Unavailable(f"{of_what}: Kafka does not let this user in: {error.str()}")
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return Stopped(
            f"{of_what}: the position to read from is not in the log any more ({error.str()}); "
            "rebuild the store, or bring back the right log"
        )
    return Unreachable(f"{of_what}: {error.str()}")
