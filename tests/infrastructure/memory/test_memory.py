"""The memory adapters keep the contracts of their ports, so tests may use them in place of the others."""

import pytest

from realtime_pipeline.infrastructure.memory.cells import MemoryCellStore
from realtime_pipeline.infrastructure.memory.customer_queries import MemoryCustomerQueries
from realtime_pipeline.infrastructure.memory.dead_letters import MemoryDeadLetters
from realtime_pipeline.infrastructure.memory.late_events import MemoryLateEvents
from realtime_pipeline.infrastructure.memory.log import MemoryEventLog, MemoryLog
from realtime_pipeline.infrastructure.memory.log_reader import MemoryLogReader
from realtime_pipeline.infrastructure.memory.outputs import MemoryOutputs
from realtime_pipeline.infrastructure.memory.product_queries import MemoryProductQueries
from realtime_pipeline.infrastructure.memory.views import MemoryViews
from realtime_pipeline.infrastructure.memory.window_queries import MemoryWindowQueries
from realtime_pipeline.infrastructure.memory.window_results import MemoryWindowResults
from tests.contracts.cell_store import OutboxContract
from tests.contracts.dead_letters import ForgottenContract
from tests.contracts.event_log import PARTITIONS, EventLogContract
from tests.contracts.late_events import LateEventsContract
from tests.contracts.listings import IDENTITY
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import RetractableContract
from tests.contracts.views import ACTIVITY_HOURS, ViewsContract
from tests.contracts.window_results import WindowResultsContract
from tests.contracts.windows import WindowsContract
from tests.support.histories import SetClock


class TestMemoryCellStore(OutboxContract):
    @pytest.fixture(autouse=True)
    def _cells(self) -> None:
        cells = MemoryCellStore()
        self.cells, self.customers = cells, MemoryCustomerQueries(cells, session_retention_ms=1_000)


class TestMemoryWindows(WindowsContract):
    @pytest.fixture(autouse=True)
    def _windows(self) -> None:
        cells = MemoryCellStore()
        self.cells, self.windows = cells, MemoryWindowQueries(cells)


class TestMemoryWindowResults(WindowResultsContract):
    @pytest.fixture(autouse=True)
    def _results(self) -> None:
        self.results = MemoryWindowResults()


class TestMemoryViews(ViewsContract):
    @pytest.fixture(autouse=True, params=[1, 3])
    def _views(self, request: pytest.FixtureRequest) -> None:
        views = MemoryViews(
            request.param,
            listed_sessions_max=3,
            activity_retention_hours=ACTIVITY_HOURS,
            partitions=IDENTITY.partitions,
        )
        self.memory = self.views = views
        self.products = MemoryProductQueries(views)

    def sales_stored(self) -> int:
        return sum(len(sales) for cell in self.memory.cells for sales in cell.sales.values())


class TestMemoryOutputs(RetractableContract):
    @pytest.fixture(autouse=True)
    def _outputs(self) -> None:
        log = MemoryLog(2, SetClock())
        self.log, self.outputs = MemoryEventLog(log), MemoryOutputs(log)


class TestMemoryDeadLetters(ForgottenContract):
    @pytest.fixture(autouse=True)
    def _letters(self) -> None:
        log = MemoryLog(1, SetClock())
        self.outputs = MemoryOutputs(log)
        self.letters = MemoryDeadLetters(self.outputs, log)
        self.opened = lambda _: self.letters
        self.log = lambda: log.records[0]


class TestMemoryLateEvents(LateEventsContract):
    @pytest.fixture(autouse=True)
    def _late_events(self) -> None:
        self.outputs = MemoryOutputs(MemoryLog(1, SetClock()))
        self.late_events = MemoryLateEvents(self.outputs)


class TestMemoryLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def _log(self) -> None:
        self.publisher = MemoryLog(PARTITIONS, SetClock())
        self.log = MemoryEventLog(self.publisher)


class TestMemoryLogReader(LogReaderContract):
    @pytest.fixture(autouse=True)
    def _reader(self) -> None:
        log = MemoryLog(3, SetClock())
        self.publisher, self.reader = log, MemoryLogReader(log)
