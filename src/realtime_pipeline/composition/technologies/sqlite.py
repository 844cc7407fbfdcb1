"""The log and the store in one SQLite file."""

from collections.abc import Mapping
from typing import Any

from dependency_injector import providers

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.ports.backups import Backups
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.snapshots import Snapshots
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.composition.parts import LogTechnology, Parts, StoreTechnology
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.technologies import memory
from realtime_pipeline.infrastructure.sqlite.settings import LogRetentionSettings


def _check_swapped_together(parts: Parts) -> None:
    """Check that the parts which SQLite writes in one transaction are swapped together, since it stores no outbox.

    Raises:
        InvalidSettings: a provider of another part is overridden.
    """
    together: Mapping[str, providers.Provider[Any]] = {
        "cells": parts.cells,
        "customer_queries": parts.customer_queries,
        "window_queries": parts.window_queries,
        "views": parts.views,
        "product_queries": parts.product_queries,
        "outputs": parts.outputs,
    }
    swapped = [name for name, provider in together.items() if provider.last_overriding is not None]
    if swapped:
        raise InvalidSettings(
            f"the container's {' and '.join(swapped)} cannot be swapped alone: SQLite commits cells, views and outputs "
            f'in one transaction; override all of {", ".join(together)}, or set store = "redis" or "memory"'
        )


def _publisher(parts: Parts) -> EventPublisher:
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher

    return SqliteEventPublisher(parts.database(), parts.settings().partitions, parts.clock(), parts.observer())


def _source_publisher(parts: Parts, source: str) -> SourcePublisher:
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher
    from realtime_pipeline.infrastructure.sqlite.source_publisher import SqliteSourcePublisher

    log = SqliteEventPublisher(parts.database(), parts.settings().partitions, parts.clock(), parts.observer())
    return SqliteSourcePublisher(parts.database(), log, parts.clock(), parts.observer(), source)


def _log(parts: Parts) -> EventLog:
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventLog

    return SqliteEventLog(parts.database(), parts.settings().partitions)


def _reader(parts: Parts) -> LogReader:
    from realtime_pipeline.infrastructure.sqlite.log_reader import SqliteLogReader

    return SqliteLogReader(parts.database())


def _retention(settings: Settings) -> Retained:
    is_unlimited = settings.log_retention == LogRetentionSettings()
    until = RetainedUntil.FILE_DELETED if is_unlimited else RetainedUntil.LOG_RETENTION
    return Retained(RetainedCode.LOG, until, settings.database)


def _cells(parts: Parts) -> CellStore:
    _check_swapped_together(parts)
    from realtime_pipeline.infrastructure.sqlite.cells import SqliteCellStore

    return SqliteCellStore(parts.database(), parts.settings().stores.session_retention_ms, parts.observer())


def _customer_queries(parts: Parts) -> CustomerQueries:
    _check_swapped_together(parts)
    from realtime_pipeline.infrastructure.sqlite.customer_queries import SqliteCustomerQueries

    return SqliteCustomerQueries(parts.database(), parts.settings().stores.session_retention_ms)


def _window_queries(parts: Parts) -> WindowQueries:
    _check_swapped_together(parts)
    from realtime_pipeline.infrastructure.sqlite.panes import SqliteWindowQueries

    return SqliteWindowQueries(parts.database())


def _window_results(parts: Parts) -> WindowResults:
    from realtime_pipeline.infrastructure.sqlite.window_results import SqliteWindowResults

    return SqliteWindowResults(parts.database())


def _views(parts: Parts) -> Views:
    _check_swapped_together(parts)
    from realtime_pipeline.infrastructure.sqlite.views import SqliteViews

    stores = parts.settings().stores
    return SqliteViews(
        parts.database(),
        stores.listed_sessions_max,
        stores.activity_retention_hours,
        parts.settings().fold.stock_lateness_ms,
    )


def _product_queries(parts: Parts) -> ProductQueries:
    _check_swapped_together(parts)
    from realtime_pipeline.infrastructure.sqlite.product_queries import SqliteProductQueries

    return SqliteProductQueries(parts.database(), parts.settings().stores.listed_sessions_max)


def outputs(parts: Parts) -> Outputs:
    """Outputs in the file of the store or the log: dead letters and late events; messages go into the log."""
    from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher
    from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

    settings = parts.settings()
    if settings.store == "sqlite":
        _check_swapped_together(parts)
    if settings.log == "sqlite":
        log = SqliteEventPublisher(parts.database(), settings.partitions, parts.clock(), parts.observer())
        return SqliteOutputs(parts.database(), log.append, is_store_elsewhere=settings.store != "sqlite")
    return SqliteOutputs(parts.database(), lambda _, records: parts.publisher().publish(records))


def dead_letters(parts: Parts) -> DeadLetters:
    """Marks in the file, beside the letters."""
    from realtime_pipeline.infrastructure.sqlite.dead_letters import SqliteDeadLetters
    from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

    found = parts.outputs()
    if not isinstance(found, SqliteOutputs):  # swapped outputs: their letters can be read, but not marked in the file
        return memory.dead_letters(parts)
    return SqliteDeadLetters(found, parts.observer())


def late_events(parts: Parts) -> LateEvents:
    """The table in the file."""
    from realtime_pipeline.infrastructure.sqlite.late_events import SqliteLateEvents
    from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs

    found = parts.outputs()
    return SqliteLateEvents(found.database) if isinstance(found, SqliteOutputs) else memory.late_events(parts)


def snapshots(parts: Parts) -> Snapshots:
    """Snapshots of cells and views in the file, for a rebuild after the log's retention has deleted records."""
    from realtime_pipeline.infrastructure.sqlite.snapshots import SqliteSnapshots

    return SqliteSnapshots(parts.database(), parts.clock(), parts.observer())


def upkeep(parts: Parts) -> Upkeep:
    """The retention of the log in the file, which takes a snapshot first."""
    from realtime_pipeline.infrastructure.sqlite.retention import SqliteRetention
    from realtime_pipeline.infrastructure.sqlite.snapshots import SqliteSnapshots

    taken = SqliteSnapshots(parts.database(), parts.clock(), parts.observer())
    return SqliteRetention(parts.database(), taken, parts.settings().log_retention, parts.clock(), parts.observer())


def backups(parts: Parts) -> Backups:
    """Copies of the file."""
    from realtime_pipeline.infrastructure.sqlite.backups import SqliteBackups

    return SqliteBackups(parts.database(), parts.observer())


LOG = LogTechnology(
    publisher=_publisher,
    source_publisher=_source_publisher,
    log=_log,
    reader=_reader,
    name=lambda settings: settings.database,
    retention=_retention,
)
STORE = StoreTechnology(
    cells=_cells,
    customer_queries=_customer_queries,
    window_queries=_window_queries,
    window_results=_window_results,
    views=_views,
    product_queries=_product_queries,
    outbox_is_stored=False,
)
