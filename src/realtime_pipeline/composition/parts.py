"""Parts: the container as the modules of technologies see it, and the tables' values."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import attrs
from dependency_injector import providers

from realtime_pipeline.application.maintenance.retained import Retained
from realtime_pipeline.application.ports.backups import Backups
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.observer import StageObserver
from realtime_pipeline.application.ports.outputs import GroupOutputs, Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.application.ports.window_topic import NoWindowTopic, WindowTopic
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.infrastructure.memory.log import MemoryLog
from realtime_pipeline.infrastructure.sqlite.database import Database

if TYPE_CHECKING:  # extras, imported where they are chosen
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
    from realtime_pipeline.infrastructure.redis.client import RedisClient


class Parts(Protocol):
    """The providers that adapters are made of; calling a provider returns its value, which the first call makes."""

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
    window_queries: providers.Singleton[WindowQueries]
    window_results: providers.Singleton[WindowResults]
    views: providers.Singleton[Views]
    product_queries: providers.Singleton[ProductQueries]
    outputs: providers.Singleton[Outputs]


@attrs.frozen
class LogTechnology:
    """The adapters of a log technology: publisher, publisher of a source by its name, log for workers, and reader
    beside the workers; where results of windows are published, if there are topics.

    `name` is the file or topic of the log; `retention` is what ends the retention of its records, for the receipt of an
    erasure; `module` is the vendor's module, if it is an extra.
    """

    publisher: Callable[[Parts], EventPublisher]
    source_publisher: Callable[[Parts, str], SourcePublisher]
    log: Callable[[Parts], EventLog]
    reader: Callable[[Parts], LogReader]
    name: Callable[[Settings], str]
    retention: Callable[[Settings], Retained]
    window_topic: Callable[[Parts], WindowTopic] = lambda _: NoWindowTopic()
    module: str | None = None


@attrs.frozen
class StoreTechnology:
    """The adapters of a store technology: the owner's and the query side of cells, and of views.

    `outbox_is_stored` is False if a commit and its outputs are one transaction, which needs no outbox. `module` is the
    vendor's module, if it is an extra.
    """

    cells: Callable[[Parts], CellStore]
    customer_queries: Callable[[Parts], CustomerQueries]
    window_queries: Callable[[Parts], WindowQueries]
    window_results: Callable[[Parts], WindowResults]
    views: Callable[[Parts], Views]
    product_queries: Callable[[Parts], ProductQueries]
    outbox_is_stored: bool = True
    module: str | None = None


@attrs.frozen
class Combination:
    """The adapters that depend on both log and store: outputs, dead letters, late events, snapshots, upkeep and
    backups.

    `group_outputs` is for logs that store the positions of outputs with a consumer group; None for others.
    """

    outputs: Callable[[Parts], Outputs]
    dead_letters: Callable[[Parts], DeadLetters]
    late_events: Callable[[Parts], LateEvents]
    snapshots: Callable[[Parts], Snapshots]
    upkeep: Callable[[Parts], Upkeep]
    backups: Callable[[Parts], Backups]
    group_outputs: Callable[[Parts], GroupOutputs] | None = None
