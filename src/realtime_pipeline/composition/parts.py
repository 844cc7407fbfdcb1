"""What adapters are made of: the container, as the modules of technologies see it."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import attrs
from dependency_injector import providers

from realtime_pipeline.application.ports.backups import Backups
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.observer import StageObserver
from realtime_pipeline.application.ports.outputs import GroupOutputs, Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.sqlite.database import Database

if TYPE_CHECKING:  # extras, imported where they are chosen
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
    from realtime_pipeline.infrastructure.redis.client import RedisClient


class Parts(Protocol):
    """The providers that adapters are made of; calling a provider makes its value, or returns it."""

    settings: providers.Singleton[Settings]
    resources: providers.Singleton[ExitStack]
    clock: providers.Singleton[Clock]
    observer: providers.Singleton[StageObserver]
    database: providers.Singleton[Database]
    redis_client: providers.Singleton["RedisClient"]
    kafka_log: providers.Singleton["KafkaEventLog"]
    memory_log: providers.Singleton[MemoryLog]
    publisher: providers.Singleton[EventPublisher]
    cells: providers.Singleton[CellStore]
    customer_queries: providers.Singleton[CustomerQueries]
    views: providers.Singleton[Views]
    product_queries: providers.Singleton[ProductQueries]
    outputs: providers.Singleton[Outputs]


@attrs.frozen
class LogTechnology:
    """What a log technology provides: writing, reading as a worker, and reading beside the workers.

    `name` says which log the settings name; `retention` says for how long it contains what was published, for the
    receipt of a forgotten customer.
    """

    publisher: Callable[[Parts], EventPublisher]
    log: Callable[[Parts], EventLog]
    reader: Callable[[Parts], LogReader]
    name: Callable[[Settings], str]
    retention: Callable[[Settings], str]


@attrs.frozen
class StoreTechnology:
    """What a store technology provides: the owner's and the readers' side of cells and of views.

    `outbox_is_stored` is False where a commit and what follows from it are one transaction, so that no outbox is
    needed.
    """

    cells: Callable[[Parts], CellStore]
    customer_queries: Callable[[Parts], CustomerQueries]
    views: Callable[[Parts], Views]
    product_queries: Callable[[Parts], ProductQueries]
    outbox_is_stored: bool = True


@attrs.frozen
class Combination:
    """What depends on the log and on the store: outputs, dead letters, and what keeps both small and safe.

    `group_outputs` is for logs that keep the positions of outputs with a group of workers; None elsewhere.
    """

    outputs: Callable[[Parts], Outputs]
    dead_letters: Callable[[Parts], DeadLetters]
    snapshots: Callable[[Parts], Snapshots]
    upkeep: Callable[[Parts], Upkeep]
    backups: Callable[[Parts], Backups]
    group_outputs: Callable[[Parts], GroupOutputs] | None = None
