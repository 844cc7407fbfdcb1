"""The part of the composition root that makes stores: cells, views and outputs, and what belongs to their file."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dependency_injector import providers

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.ports.backups import Backups, NoBackups
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.observer import StageObserver
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.snapshots import NoSnapshots, Snapshots
from realtime_pipeline.application.ports.upkeep import NoUpkeep, Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.infrastructure.sqlite.database import Database

if TYPE_CHECKING:  # extras, imported where they are chosen
    from realtime_pipeline.infrastructure.kafka.log import KafkaEventLog
    from realtime_pipeline.infrastructure.redis.client import RedisClient


class StoreParts(Protocol):
    """The container, as far as it provides the parts of a store."""

    cells: providers.Singleton[CellStore]
    views: providers.Singleton[Views]
    outputs: providers.Singleton[Outputs]


def database(settings: Settings, resources: ExitStack) -> Database:
    """The SQLite file."""
    database = Database(Path(settings.database))
    resources.callback(database.close)
    return database


def redis_client(settings: Settings, resources: ExitStack) -> "RedisClient":
    """The connections to Redis."""
    from realtime_pipeline.infrastructure.redis.client import RedisClient

    nodes = RedisClient(settings.redis)
    resources.callback(nodes.close)
    return nodes


def _check_swapped_together(container: StoreParts) -> None:
    """See that what SQLite writes in one transaction is not divided: it keeps nothing for parts that lie elsewhere.

    Raises:
        InvalidSettings: some of the providers are overridden, and the others stand for SQLite.
    """
    parts: Mapping[str, providers.Provider[Any]] = {
        "cells": container.cells,
        "views": container.views,
        "outputs": container.outputs,
    }
    swapped = [name for name, provider in parts.items() if provider.last_overriding is not None]
    if swapped:
        raise InvalidSettings(
            f"the container's {' and '.join(swapped)} cannot be swapped alone: SQLite commits cells, views and outputs "
            'in one transaction; override all three, or set store = "redis" or "memory"'
        )


def cells(
    settings: Settings,
    observer: StageObserver,
    database: Callable[[], Database],
    redis_nodes: Callable[[], "RedisClient"],
    container: StoreParts,
) -> CellStore:
    """The store of customers."""
    if settings.store == "redis":
        from realtime_pipeline.infrastructure.redis.cells import RedisCellStore

        return RedisCellStore(redis_nodes(), settings.redis, settings.stores.session_retention_ms, observer)
    if settings.store == "memory":
        from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore

        return MemoryCellStore(settings.stores.session_retention_ms)
    _check_swapped_together(container)
    from realtime_pipeline.infrastructure.sqlite.cells import SqliteCellStore

    return SqliteCellStore(database(), settings.stores.session_retention_ms, observer)


def views(
    settings: Settings,
    database: Callable[[], Database],
    redis_nodes: Callable[[], "RedisClient"],
    container: StoreParts,
) -> Views:
    """What all customers share."""
    stores = settings.stores
    if settings.store == "redis":
        from realtime_pipeline.infrastructure.redis.views import RedisViews

        return RedisViews(redis_nodes(), settings.redis, stores.listed_sessions_max, stores.activity_retention_hours)
    if settings.store == "memory":
        from realtime_pipeline.infrastructure.memory.views import MemoryViews

        return MemoryViews(1, stores.listed_sessions_max, stores.activity_retention_hours)
    _check_swapped_together(container)
    from realtime_pipeline.infrastructure.sqlite.views import SqliteViews

    return SqliteViews(database(), stores.listed_sessions_max, stores.activity_retention_hours)


def outputs(
    settings: Settings,
    clock: Clock,
    observer: StageObserver,
    database: Callable[[], Database],
    kafka_log: Callable[[], "KafkaEventLog"],
    publisher: Callable[[], EventPublisher],
    container: StoreParts,
) -> Outputs:
    """Outputs lie with the store where that is a database, else with the log."""
    if settings.store == "sqlite":
        _check_swapped_together(container)
    if settings.log == "kafka":
        from realtime_pipeline.infrastructure.kafka.outputs import KafkaOutputs

        return KafkaOutputs(settings.kafka, kafka_log(), observer)
    if "memory" in (settings.store, settings.log) and settings.store != "sqlite":
        from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs

        return MemoryOutputs(publisher())
    from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

    if settings.log == "sqlite":
        from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher

        append = SqliteEventPublisher(database(), settings.partitions, clock, observer).append
        return SqliteOutputs(database(), append, is_apart=settings.store != "sqlite")
    return SqliteOutputs(database(), lambda _, records: publisher().publish(records))


def _is_one_file(settings: Settings) -> bool:
    return settings.log == settings.store == "sqlite"


def snapshots(settings: Settings, clock: Clock, observer: StageObserver, database: Callable[[], Database]) -> Snapshots:
    """Copies of the store that a rebuild begins with."""
    if not _is_one_file(settings):
        return NoSnapshots()
    from realtime_pipeline.infrastructure.sqlite.snapshots import SqliteSnapshots

    return SqliteSnapshots(database(), clock, observer)


def upkeep(settings: Settings, clock: Clock, observer: StageObserver, database: Callable[[], Database]) -> Upkeep:
    """What a worker does beside its rounds."""
    if not _is_one_file(settings):
        return NoUpkeep()
    from realtime_pipeline.infrastructure.sqlite.retention import SqliteRetention
    from realtime_pipeline.infrastructure.sqlite.snapshots import SqliteSnapshots

    snapshots = SqliteSnapshots(database(), clock, observer)
    return SqliteRetention(database(), snapshots, settings.log_retention, clock, observer)


def backups(settings: Settings, observer: StageObserver, database: Callable[[], Database]) -> Backups:
    """Copies of the file."""
    if not _is_one_file(settings):
        return NoBackups()
    from realtime_pipeline.infrastructure.sqlite.backups import SqliteBackups

    return SqliteBackups(database(), observer)
