"""Creating Kafka clients, and translating their errors."""

import ctypes
import logging
import os
import weakref
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from realtime_pipeline.application.errors import RecoverableError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.kafka.settings import OPTION_TYPES, KafkaSettings

Client = TypeVar("Client", "_Producer", "_Consumer", "Admin")

client_logger = logging.getLogger("realtime_pipeline.kafka")
client_logger.addHandler(logging.NullHandler())
"""librdkafka's messages about brokers that come and go; silent unless a program adds a handler."""

UNKNOWN_TOPIC = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION))
ACCESS_DENIED = frozenset(
    (
        KafkaError._AUTHENTICATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    )
)

KEEP_BROKERS: dict[str, OPTION_TYPES] = {"metadata.recovery.strategy": "none"}
"""Without it librdkafka (2.11 to 2.16 at least) drops its brokers when none answers, but goes on waiting for a group's
coordinator among them: an open transaction then hangs for ever (librdkafka issue 5511)."""


class Admin(AdminClient):
    """Creates and describes topics, and collects the errors of brokers that deny access.

    librdkafka reports such errors to a callback only, and retries until the call's timeout.
    """

    def __init__(self, options: dict[str, OPTION_TYPES], logger: logging.Logger) -> None:
        self._reported: list[KafkaError] = []
        with_callback = {**options, "error_cb": self._reported.append}
        super().__init__(with_callback, logger=logger)  # type: ignore[arg-type]  # the stubs know of no callbacks

    def pop_access_error(self) -> KafkaError | None:
        """Return the last error of a broker that denied access since the previous call; None if there was none."""
        self.poll(0)
        denials = [
            error for error in self._reported if error.code() in ACCESS_DENIED or error.code() == KafkaError._SSL
        ]
        self._reported.clear()
        return denials[-1] if denials else None


class _Producer(Producer):
    """A producer that weak references can point to."""


class _Consumer(Consumer):
    """A consumer that weak references can point to."""


def _keep_alive_in_child() -> None:
    """In a forked process, keep clients from being destroyed: that would wait for threads that do not exist here."""
    for client in list(_opened):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


_opened: weakref.WeakSet[Producer | Consumer | Admin] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_alive_in_child)


def new_producer(settings: KafkaSettings, overrides: dict[str, OPTION_TYPES]) -> Producer:
    """Create an idempotent producer: all in-sync replicas acknowledge each record, none twice and none out of order."""
    options = {
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        "queue.buffering.max.messages": settings.queue_buffering_max_messages,
        **KEEP_BROKERS,
        **settings.options(),
        "acks": "all",
        "enable.idempotence": True,
        **overrides,
    }
    return _new_client(_Producer, options)


def new_consumer(settings: KafkaSettings, overrides: dict[str, OPTION_TYPES]) -> Consumer:
    """Create a consumer with isolation level `read_committed` that commits and stores no offsets by itself."""
    options = {
        "queued.max.messages.kbytes": settings.queued_max_messages_kbytes,
        "fetch.wait.max.ms": 100,
        **KEEP_BROKERS,
        **settings.options(),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        **overrides,
    }
    return _new_client(_Consumer, options)


def new_admin(settings: KafkaSettings) -> Admin:
    """Create a client that creates and describes topics."""
    return _new_client(Admin, KEEP_BROKERS | settings.options())


def _new_client(kind: type[Client], options: dict[str, OPTION_TYPES]) -> Client:
    try:
        client = kind(options, logger=client_logger)
    except (KafkaException, ValueError, TypeError) as error:
        raise Unavailable(f"the Kafka settings are invalid: {error}") from None
    _opened.add(client)
    return client


def call_with_timeout(timeout_s: float, call: Callable[[], object], subject: str) -> None:
    """Make a call of librdkafka in a thread, since it may overrun its own timeout; abandon the thread if it does.

    Args:
        timeout_s: How long to wait for the call to return.
        call: The call; what it returns is dropped.
        subject: What the call is about, for the error message.

    Raises:
        KafkaException: the call failed.
        Unreachable: the call did not return in time. The client it was made on must not be used again.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # of any kind: it is raised again in the calling thread
            failures.append(error)

    thread = Thread(target=run, name=subject, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise Unreachable(f"{subject}: Kafka's client did not return in {timeout_s:.0f} s")
    if failures:
        raise failures[0]


def is_unknown_topic(error: KafkaError) -> bool:
    """Return whether a broker reports that it knows no such topic."""
    return error.code() in UNKNOWN_TOPIC


def translate_error(error: KafkaError, subject: str) -> RecoverableError | UnrecoverableState | Unavailable:
    """Translate an error of Kafka into the worker's own; `subject` says what the failed call was about."""
    if is_unknown_topic(error):  # recoverable: a broker that has just started reports it too
        return Unreachable(f"{subject}: the topic is not there; create it (realtime-pipeline topics create)")
    if error.code() in ACCESS_DENIED:
        return Unavailable(f"{subject}: Kafka does not let this user in: {error.str()}")
    if error.code() == KafkaError._SSL:
        return Unavailable(f"{subject}: no TLS with Kafka ({error.str()}); see kafka.librdkafka in the settings")
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return UnrecoverableState(
            f"{subject}: the position to read from is not in the log any more ({error.str()}); "
            "bring back the right log, or build another store, in a new namespace and group"
        )
    if error.code() == KafkaError._TIMED_OUT:
        return Unreachable(f"{subject}: no answer in time from Kafka ({error.str()})")
    return Unreachable(f"{subject}: {error.str()}")
