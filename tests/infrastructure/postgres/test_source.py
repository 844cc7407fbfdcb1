"""The Postgres source keeps the contract of sources, on a real server."""

import pytest

from realtime_pipeline.application.ports.source import Positions, Source, SourceRecord
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.source import PostgresSource
from tests.contracts.source import SourceContract
from tests.support.servers import postgres_execute, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

TABLE = "public.people"


class _PeopleContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _database(self) -> None:
        self.settings = postgres_settings()
        postgres_execute(self.settings, "CREATE TABLE public.people (id serial PRIMARY KEY, name text NOT NULL)")

    def source(self) -> Source:
        return PostgresSource("people", self.settings, {TABLE: frozenset({"name"})})

    def fill(self, *names: str) -> None:
        postgres_execute(self.settings, *(f"INSERT INTO public.people (name) VALUES ('{name}')" for name in names))

    def name_in(self, record: SourceRecord) -> str:
        assert isinstance(record.value, dict)
        return str(record.value["row"]["name"])


class TestPostgresSnapshot(_PeopleContract):
    """The table is filled before the source is opened."""


class _BehindTheSnapshot(PostgresSource):
    """Begins at positions where another source begins without."""

    def __init__(self, settings: PostgresSettings, beginning: Positions) -> None:
        super().__init__("people", settings, {TABLE: frozenset({"name"})})
        self._beginning = beginning

    def open(self, positions: Positions) -> None:
        super().open({**self._beginning, **positions})


class TestPostgresStream(_PeopleContract):
    """The snapshot of the empty table is read before the table is filled."""

    @pytest.fixture(autouse=True)
    def _beginning(self, _database: None) -> None:
        source = super().source()
        source.open({})
        batch = source.read(10, 0.0)
        assert batch is not None
        self.beginning = batch.positions
        source.close()

    def source(self) -> Source:
        return _BehindTheSnapshot(self.settings, self.beginning)
