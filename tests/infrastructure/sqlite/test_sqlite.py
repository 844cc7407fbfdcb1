"""The SQLite adapters keep the ports' contracts; connections, durability, and errors when a file is opened."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.ports.outputs import Emission
from realtime_pipeline.domain.profile.session import Session, SessionKey, session_key
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.sqlite import log
from realtime_pipeline.infrastructure.sqlite.cells import SqliteCellStore
from realtime_pipeline.infrastructure.sqlite.customer_queries import SqliteCustomerQueries
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.dead_letters import SqliteDeadLetters
from realtime_pipeline.infrastructure.sqlite.late_events import SqliteLateEvents
from realtime_pipeline.infrastructure.sqlite.log import SqliteEventLog, SqliteEventPublisher
from realtime_pipeline.infrastructure.sqlite.log_reader import SqliteLogReader
from realtime_pipeline.infrastructure.sqlite.outputs import SqliteOutputs
from realtime_pipeline.infrastructure.sqlite.panes import SqliteWindowQueries
from realtime_pipeline.infrastructure.sqlite.product_queries import SqliteProductQueries
from realtime_pipeline.infrastructure.sqlite.views import SqliteViews
from realtime_pipeline.infrastructure.sqlite.window_results import SqliteWindowResults
from tests.contracts.cell_store import TransactionContract, effects
from tests.contracts.dead_letters import RESOLVED, DurableContract, ForgottenContract, key
from tests.contracts.event_log import PARTITIONS, EventLogContract, Owner
from tests.contracts.late_events import LateEventsContract
from tests.contracts.listings import IDENTITY
from tests.contracts.log_reader import LogReaderContract
from tests.contracts.outputs import RetractableContract
from tests.contracts.views import ACTIVITY_HOURS, ViewsContract
from tests.contracts.window_results import WindowResultsContract
from tests.contracts.windows import WindowsContract
from tests.support.forks import in_a_child
from tests.support.histories import SetClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "shop.db")
    yield opened
    opened.close()


class TestSqliteCellStore(TransactionContract):
    @pytest.fixture(autouse=True)
    def _cells(self, database: Database) -> None:
        self.database = database
        self.cells = SqliteCellStore(database, 1_000, NoObserver())
        self.customers = SqliteCustomerQueries(database, 1_000)

    def test_expired_sessions_are_deleted_from_the_file(self) -> None:
        self.cells.claim(0, 1)
        for number in range(300):
            self.commit(effects(sessions=(Session(session_key(0, number), None, number * 10, number * 10),)), at=number)
        left = self.database.rows("SELECT count(*) FROM sessions")[0][0]
        assert 100 <= left <= 100 + 64

    def test_a_long_session_does_not_keep_expired_sessions_in_the_file(self) -> None:
        self.cells.claim(0, 1)
        for number in range(400):
            long_lived = Session(session_key(0, 0), "for ever", 0, number * 10)
            other = Session(session_key(0, number + 1), None, number * 10, number * 10)
            self.commit(effects(sessions=(long_lived, other)), at=number)
        assert set(self.customers.session_summaries([session_key(0, 0)])) == {session_key(0, 0)}
        assert self.database.rows("SELECT count(*) FROM sessions")[0][0] <= 102 + 64


class TestSqliteWindows(WindowsContract):
    @pytest.fixture(autouse=True)
    def _windows(self, database: Database) -> None:
        self.cells, self.windows = SqliteCellStore(database, 1_000, NoObserver()), SqliteWindowQueries(database)


class TestSqliteWindowResults(WindowResultsContract):
    @pytest.fixture(autouse=True)
    def _results(self, database: Database) -> None:
        self.results = SqliteWindowResults(database)


class TestSqliteViews(ViewsContract):
    @pytest.fixture(autouse=True)
    def _views(self, database: Database) -> None:
        self.database = database
        self.views = SqliteViews(database, listed_sessions_max=3, activity_retention_hours=ACTIVITY_HOURS)
        self.products = SqliteProductQueries(database, listed_sessions_max=3)
        SqliteCellStore(database, 1_000, NoObserver()).bind(IDENTITY)

    def sales_stored(self) -> int:
        stored: int = self.database.rows("SELECT count(*) FROM sales")[0][0]
        return stored

    def test_the_list_of_sessions_of_a_product_is_bounded(self) -> None:
        for number in range(50):
            deltas = Deltas({ProductId("mug"): ProductState(1)}, {}, {(ProductId("mug"), SessionKey(number)): number})
            self.merge(deltas, {0: (number, number + 1)})
        assert self.database.rows("SELECT count(*) FROM product_sessions")[0][0] <= 4


class TestSqliteOutputs(RetractableContract):
    @pytest.fixture(autouse=True)
    def _outputs(self, database: Database) -> None:
        publisher = SqliteEventPublisher(database, 2, SetClock(), NoObserver())
        self.log, self.outputs = SqliteEventLog(database, 2), SqliteOutputs(database, publisher.append)


class TestSqliteLogReader(LogReaderContract):
    @pytest.fixture(autouse=True)
    def _reader(self, database: Database) -> None:
        self.publisher = SqliteEventPublisher(database, 3, SetClock(), NoObserver())
        self.reader = SqliteLogReader(database)


class TestSqliteDeadLetters(ForgottenContract, DurableContract):
    @pytest.fixture(autouse=True)
    def _letters(self, database: Database) -> None:
        publisher = SqliteEventPublisher(database, 1, SetClock(), NoObserver())
        outputs = self.outputs = SqliteOutputs(database, publisher.append)
        self.opened = lambda stages: SqliteDeadLetters(outputs, stages)
        self.letters = self.opened(NoObserver())
        self.log = lambda: [
            Record(*row)
            for row in database.rows(
                "SELECT partition, position, key, value, appended_at_ms, origin FROM records ORDER BY position"
            )
        ]

    def test_a_mark_is_deleted_with_its_letter(self, database: Database) -> None:
        self.test_marks_go_with_their_letters()
        assert database.rows("SELECT count(*) FROM dead_letter_marks") == [(0,)]

    def test_a_file_of_an_earlier_release_gets_the_table_of_marks(self, database: Database, tmp_path: Path) -> None:
        self.given(3)
        with database.transaction() as connection:
            connection.execute("DROP TABLE dead_letter_marks")
            connection.execute("DROP INDEX letters_of_customers")
            connection.execute("ALTER TABLE records DROP COLUMN unused")
            later = ("source_claims", "source_positions", "panes", "late_events", "window_results", "window_progress")
            for table in ("sums", "listings", "sales", *later):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("PRAGMA user_version = 4")
        database.close()
        again = Database(tmp_path / "shop.db")
        self.letters = SqliteDeadLetters(SqliteOutputs(again, lambda *_: None), NoObserver())
        assert self.states() == {"0-3": "open"}
        self.letters.handle([(key(3), None)], RESOLVED)
        assert self.states() == {"0-3": "resolved"}
        again.close()


class TestSqliteLateEvents(LateEventsContract):
    @pytest.fixture(autouse=True)
    def _late_events(self, database: Database) -> None:
        self.outputs, self.late_events = SqliteOutputs(database, lambda *_: None), SqliteLateEvents(database)

    def test_large_late_events_are_read_a_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("realtime_pipeline.infrastructure.sqlite.late_events.BATCH_BYTES_MAX", 1)
        self.given(3, 5, 8)
        assert self.ids() == ["0-3", "0-5", "0-8"]

    def test_a_file_of_schema_10_gets_the_table(self, database: Database, tmp_path: Path) -> None:
        with database.transaction() as connection:
            for table in ("late_events", "window_results", "window_progress"):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("PRAGMA user_version = 10")
        database.close()
        again = Database(tmp_path / "shop.db")
        self.outputs, self.late_events = SqliteOutputs(again, lambda *_: None), SqliteLateEvents(again)
        self.given(3)
        assert self.ids() == ["0-3"]
        again.close()


class TestSqliteLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def _log(self, database: Database) -> None:
        self.database = database
        self.publisher = SqliteEventPublisher(database, PARTITIONS, SetClock(), NoObserver())
        self.log = SqliteEventLog(database, PARTITIONS)

    def test_the_number_of_partitions_is_fixed_when_the_file_is_created(self) -> None:
        assert SqliteEventPublisher(self.database, 7, SetClock(), NoObserver()).partitions == PARTITIONS
        assert SqliteEventLog(self.database, 7).identity == self.log.identity

    def test_a_second_worker_takes_over_and_the_first_stops(self) -> None:
        first, second = Owner(), Owner()
        self.all(first)
        other = SqliteEventLog(self.database, PARTITIONS)
        other.subscribe(second)
        other.poll(1, 0)
        with pytest.raises(UnrecoverableState, match="another worker has taken over"):
            self.log.poll(1, 0)
        assert (first.held, second.held) == (set(), {0, 1, 2})

    def test_a_worker_whose_file_was_deleted_stops(self) -> None:
        self.all(Owner())
        self.database.path.unlink()
        with pytest.raises(UnrecoverableState, match="deleted or replaced"):
            self.log.poll(1, 0)

    def test_a_poll_ends_at_its_limit_of_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log, "READ_BYTES_MAX", 1_000)
        self.publisher.publish([Outgoing(b"ada", b"x" * 400) for _ in range(10)])
        self.log.subscribe(Owner())
        polls = [len(self.log.poll(100, 0)) for _ in range(5)]
        assert polls == [3, 3, 3, 1, 0]

    def test_a_poll_returns_a_record_that_another_thread_publishes(self) -> None:
        self.all(Owner())
        publishing = threading.Thread(target=self.publisher.publish, args=([Outgoing(b"ada", b"x")],))
        publishing.start()
        records = self.log.poll(10, 10.0)
        publishing.join()
        assert [record.value for record in records] == [b"x"]


def test_only_durable_connections_sync_every_commit_to_the_disk(database: Database) -> None:
    """2 is FULL: every commit is synced before it returns. 1 is NORMAL: the WAL is synced at the next checkpoint."""
    assert database.connection(durable=True).execute("PRAGMA synchronous").fetchone()[0] == 2
    assert database.connection().execute("PRAGMA synchronous").fetchone()[0] == 1
    for durable in (True, False):
        assert database.connection(durable).execute("PRAGMA journal_mode").fetchone()[0] == "wal"


@pytest.mark.parametrize(("is_store_elsewhere", "synced"), [(True, 1), (False, 0)])
def test_records_for_the_log_are_synced_if_the_store_is_elsewhere(
    database: Database, is_store_elsewhere: bool, synced: int
) -> None:
    written: list[str] = []
    publisher = SqliteEventPublisher(database, 2, SetClock(), NoObserver())
    outputs = SqliteOutputs(database, publisher.append, is_store_elsewhere)
    outputs.claim(0, 1)
    database.connection(durable=True).set_trace_callback(written.append)
    outputs.emit([Emission(0, 1, 0, 5, ())])
    assert written == []
    outputs.emit([Emission(0, 1, 5, 9, (), outgoing=(Outgoing(b"bob", b"value"),))])
    assert sum(line.startswith("INSERT INTO records") for line in written) == synced


def test_the_connections_of_a_thread_are_closed_with_it(database: Database) -> None:
    opened: list[sqlite3.Connection] = []
    for _ in range(5):
        reader = threading.Thread(target=lambda: opened.append(database.connection()))
        reader.start()
        reader.join()
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_closed_database_cannot_be_used(tmp_path: Path) -> None:
    database = Database(tmp_path / "shop.db")
    database.connection()
    database.close()
    with pytest.raises(Unavailable, match="was closed"):
        database.connection()


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, and long enough for anybody to see that it is none: " * 20)
    with pytest.raises(Unavailable, match=r"notes\.txt cannot be used: file is not a database"):
        Database(file).connection()


def test_the_database_of_another_program_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "books.db")
    connection.execute("CREATE TABLE books (title TEXT)")
    connection.close()
    before = (tmp_path / "books.db").read_bytes()
    with pytest.raises(Unavailable, match=r"books\.db is another program's database"):
        Database(tmp_path / "books.db").connection()
    assert (tmp_path / "books.db").read_bytes() == before


@pytest.mark.parametrize("number", range(20))  # the race was lost once in fifty times
def test_many_threads_can_open_a_new_file_at_once(tmp_path: Path, number: int) -> None:
    database = Database(tmp_path / f"shop-{number}.db")
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            database.rows("SELECT count(*) FROM records")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert failures == []


def test_the_error_says_why_a_database_cannot_be_opened(tmp_path: Path) -> None:
    folder = tmp_path / "no"
    for path, why in ((tmp_path, "it is a folder"), (folder / "shop.db", f"there is no folder {folder}")):
        with pytest.raises(Unavailable, match=re.escape(f"the database {path} cannot be used: {why}")):
            Database(path).connection()


def test_no_connection_survives_a_fork(tmp_path: Path) -> None:
    """SQLite's locks would be wrong in the child; the number shows that new connections were opened."""
    database = Database(tmp_path / "shop.db")
    before, number = database.connection(), database.connections_number
    assert in_a_child(lambda: database.connection() is before) == "False"
    assert database.connection() is not before
    assert database.connections_number != number
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        before.execute("SELECT 1")
