"""Log and store in the memory of this process, for tests and trials."""

import sys

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.event_publisher import EventPublisher
from realtime_pipeline.application.ports.late_events import LateEvents
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.ports.outputs import Outputs
from realtime_pipeline.application.ports.product_queries import ProductQueries
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.application.ports.views import Views
from realtime_pipeline.application.ports.window_queries import WindowQueries
from realtime_pipeline.application.ports.window_results import WindowResults
from realtime_pipeline.composition.parts import LogTechnology, Parts, StoreTechnology


def _publisher(parts: Parts) -> EventPublisher:
    return parts.memory_log()


def _source_publisher(parts: Parts, source: str) -> SourcePublisher:
    from realtime_pipeline.infrastructure.memory.source_publisher import MemorySourcePublisher

    return MemorySourcePublisher(parts.memory_log(), source)


def _log(parts: Parts) -> EventLog:
    from realtime_pipeline.infrastructure.memory.log import MemoryEventLog

    return MemoryEventLog(parts.memory_log())


def _reader(parts: Parts) -> LogReader:
    from realtime_pipeline.infrastructure.memory.log_reader import MemoryLogReader

    return MemoryLogReader(parts.memory_log())


def _cells(_: Parts) -> CellStore:
    from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore

    return MemoryCellStore()


def _customer_queries(parts: Parts) -> CustomerQueries:
    from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
    from realtime_pipeline.infrastructure.memory.customer_queries import MemoryCustomerQueries

    cells = parts.cells()
    if not isinstance(cells, MemoryCellStore):
        raise InvalidSettings("the container's cells are swapped: override customer_queries too, so that both agree")
    return MemoryCustomerQueries(cells, parts.settings().stores.session_retention_ms)


def _window_queries(parts: Parts) -> WindowQueries:
    from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
    from realtime_pipeline.infrastructure.memory.window_queries import MemoryWindowQueries

    cells = parts.cells()
    if not isinstance(cells, MemoryCellStore):
        raise InvalidSettings("the container's cells are swapped: override window_queries too, so that both agree")
    return MemoryWindowQueries(cells)


def _window_results(_: Parts) -> WindowResults:
    from realtime_pipeline.infrastructure.memory.window_results import MemoryWindowResults

    return MemoryWindowResults()


def _views(parts: Parts) -> Views:
    from realtime_pipeline.infrastructure.memory.views import MemoryViews

    settings = parts.settings()
    return MemoryViews(
        1,
        settings.stores.listed_sessions_max,
        settings.stores.activity_retention_hours,
        settings.fold.stock_lateness_ms,
        settings.partitions if settings.log == "memory" else sys.maxsize,
    )


def _product_queries(parts: Parts) -> ProductQueries:
    from realtime_pipeline.infrastructure.memory.product_queries import MemoryProductQueries
    from realtime_pipeline.infrastructure.memory.views import MemoryViews

    views = parts.views()
    if not isinstance(views, MemoryViews):
        raise InvalidSettings("the container's views are swapped: override product_queries too, so that both agree")
    return MemoryProductQueries(views)


def outputs(parts: Parts) -> Outputs:
    """Outputs in memory: dead letters and late events; messages go to the publisher."""
    from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs

    return MemoryOutputs(parts.publisher())


def dead_letters(parts: Parts) -> DeadLetters:
    """Marks in memory, for the letters of any outputs; they last as long as the process."""
    from realtime_pipeline.infrastructure.memory.dead_letters import MemoryDeadLetters

    return MemoryDeadLetters(parts.outputs(), parts.publisher(), outlives=parts.settings().log != "memory")


def late_events(parts: Parts) -> LateEvents:
    """The late events of any outputs."""
    from realtime_pipeline.infrastructure.memory.late_events import MemoryLateEvents

    return MemoryLateEvents(parts.outputs())


LOG = LogTechnology(
    publisher=_publisher,
    source_publisher=_source_publisher,
    log=_log,
    reader=_reader,
    name=lambda _: "memory",
    retention=lambda _: Retained(RetainedCode.LOG, RetainedUntil.PROCESS_ENDS),
)
STORE = StoreTechnology(
    cells=_cells,
    customer_queries=_customer_queries,
    window_queries=_window_queries,
    window_results=_window_results,
    views=_views,
    product_queries=_product_queries,
)
