"""The log in SQLite stores a source's records with its positions."""

from pathlib import Path

import pytest

from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher
from realtime_pipeline.infrastructure.sqlite.source_publisher import SqliteSourcePublisher
from tests.contracts.source_publisher import SourcePublisherContract, records
from tests.support.histories import SetClock


class TestSqliteSourcePublisher(SourcePublisherContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "shop.db"
        self.reader = Database(self.path)
        SqliteEventPublisher(self.reader, 1, SetClock(), NoObserver())

    def publisher(self, source: str) -> SourcePublisher:
        database = Database(self.path)
        log = SqliteEventPublisher(database, 1, SetClock(), NoObserver())
        return SqliteSourcePublisher(database, log, SetClock(), NoObserver(), source)

    def values(self) -> list[str]:
        return [value.decode() for (value,) in self.reader.rows("SELECT value FROM records ORDER BY position")]

    def test_a_failed_publication_writes_neither_records_nor_positions(self) -> None:
        publisher = self.publisher("shop")
        publisher.claim()
        with pytest.raises(AttributeError):
            publisher.publish([*records("a"), None], {"part": "1"})  # type: ignore[list-item]
        assert (self.values(), self.publisher("shop").claim()) == ([], {})
