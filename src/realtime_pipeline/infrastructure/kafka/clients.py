"""Making Kafka clients, and what their errors mean."""

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

quiet = logging.getLogger("realtime_pipeline.kafka")
quiet.addHandler(logging.NullHandler())
"""librdkafka's own words about brokers that come and go: for who wants to hear them."""

TOPIC_GONE = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION))
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
"""Else librdkafka (2.11 to 2.16 at least) throws its brokers away when none answers, and goes on waiting for a group's
coordinator among them: an open transaction then hangs for ever (librdkafka issue 5511)."""


class Admin(AdminClient):
    """Makes and describes topics, and hears why brokers refuse it.

    librdkafka says that to a callback only, and then goes on trying until a call's time is over.
    """

    def __init__(self, options: dict[str, OPTION_TYPES], logger: logging.Logger) -> None:
        self._heard: list[KafkaError] = []
        with_callback = {**options, "error_cb": self._heard.append}
        super().__init__(with_callback, logger=logger)  # type: ignore[arg-type]  # the stubs know of no callbacks

    def refusal(self) -> KafkaError | None:
        """Why a broker did not let this client in since it was asked last; None where none did."""
        self.poll(0)
        refusals = [error for error in self._heard if error.code() in ACCESS_DENIED or error.code() == KafkaError._SSL]
        self._heard.clear()
        return refusals[-1] if refusals else None


class _Producer(Producer):
    """One that can be referred to weakly."""


class _Consumer(Consumer):
    """One that can be referred to weakly."""


def _leave_to_parent() -> None:
    """In a process that was forked, keep clients from being destroyed: that waits for threads which are not there."""
    for client in list(_opened):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


_opened: weakref.WeakSet[Producer | Consumer | Admin] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def made_producer(settings: KafkaSettings, more: dict[str, OPTION_TYPES]) -> Producer:
    """A producer: every record acknowledged by all replicas in sync, none twice, none out of order."""
    options = {
        "compression.type": settings.compression,
        "linger.ms": settings.linger_ms,
        "queue.buffering.max.messages": settings.queue_buffering_max_messages,
        **KEEP_BROKERS,
        **settings.options(),
        "acks": "all",
        "enable.idempotence": True,
        **more,
    }
    return _made(_Producer, options)


def made_consumer(settings: KafkaSettings, more: dict[str, OPTION_TYPES]) -> Consumer:
    """A consumer that commits nothing by itself, and sees only what was committed."""
    options = {
        "queued.max.messages.kbytes": settings.queued_max_messages_kbytes,
        "fetch.wait.max.ms": 100,
        **KEEP_BROKERS,
        **settings.options(),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        **more,
    }
    return _made(_Consumer, options)


def made_admin(settings: KafkaSettings) -> Admin:
    """A client that makes and describes topics."""
    return _made(Admin, KEEP_BROKERS | settings.options())


def _made(kind: type[Client], options: dict[str, OPTION_TYPES]) -> Client:
    try:
        client = kind(options, logger=quiet)
    except (KafkaException, ValueError, TypeError) as error:
        raise Unavailable(f"Kafka settings make no sense: {error}") from None
    _opened.add(client)
    return client


def within(wait_s: float, call: Callable[[], object], of_what: str) -> None:
    """Make a call of librdkafka that may outlast its own time-out; one that does is left behind, in its thread.

    Raises:
        KafkaException: the call failed.
        Unreachable: it did not return in time. Whatever it was called on must not be used again.
    """
    failures: list[BaseException] = []

    def make() -> None:
        try:
            call()
        except BaseException as error:  # of whatever kind: it is raised where the call was asked for
            failures.append(error)

    caller = Thread(target=make, name=of_what, daemon=True)
    caller.start()
    caller.join(wait_s)
    if caller.is_alive():
        raise Unreachable(f"{of_what}: Kafka's client did not return in {wait_s:.0f} s")
    if failures:
        raise failures[0]


def is_gone(error: KafkaError) -> bool:
    """Whether a broker knows no such topic."""
    return error.code() in TOPIC_GONE


def translate_error(error: KafkaError, of_what: str) -> RecoverableError | UnrecoverableState | Unavailable:
    """What an error of Kafka means to the worker."""
    if is_gone(error):  # as a broker says that has just started, too
        return Unreachable(f"{of_what}: the topic is not there; create it (realtime-pipeline topics create)")
    if error.code() in ACCESS_DENIED:
        return Unavailable(f"{of_what}: Kafka does not let this user in: {error.str()}")
    if error.code() == KafkaError._SSL:
        return Unavailable(f"{of_what}: no TLS with Kafka ({error.str()}); see kafka.librdkafka in the settings")
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return UnrecoverableState(
            f"{of_what}: the position to read from is not in the log any more ({error.str()}); "
            "bring back the right log, or build another store, in a new namespace and group"
        )
    if error.code() == KafkaError._TIMED_OUT:
        return Unreachable(f"{of_what}: no answer in time from Kafka ({error.str()})")
    return Unreachable(f"{of_what}: {error.str()}")
