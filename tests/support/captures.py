"""Captures of Postgres tables for tests: writers whose changes are known, and the log that must have each once."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from realtime_pipeline.application.errors import PipelineError
from realtime_pipeline.application.ingestion.run_source import RunSource
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import NoObserver, StageObserver
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.application.ports.source_publisher import SourcePublisher
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.source import PostgresSource
from realtime_pipeline.infrastructure.sqlite.database import Database
from realtime_pipeline.infrastructure.sqlite.log import SqliteEventPublisher
from realtime_pipeline.infrastructure.sqlite.source_publisher import SqliteSourcePublisher
from tests.support.histories import SetClock
from tests.support.servers import postgres_execute

NAME = "shop"
ORDERS = "public.orders"
COLUMNS = {ORDERS: frozenset({"id", "version"})}
DELETED = "deleted"

Document = dict[str, Any]
Seen = list[int | str]
"""The versions that a row had, and `DELETED` where it was deleted, in order."""


def source(settings: PostgresSettings, columns: Mapping[str, frozenset[str]] = COLUMNS) -> PostgresSource:
    """The source of a test's database."""
    return PostgresSource(NAME, settings, columns)


def outgoing(record: SourceRecord) -> list[Outgoing]:
    """A record of the log for a document, with the id of the source's record."""
    assert isinstance(record.value, dict)
    return [Outgoing(b"orders", msgspec.json.encode({"id": record.id, **record.value}), record.origin)]


def publisher(file: Path, name: str = NAME) -> SourcePublisher:
    """A publisher to the log in a file, as a process opens it."""
    database = Database(file)
    log = SqliteEventPublisher(database, 1, SetClock(), NoObserver())
    return SqliteSourcePublisher(database, log, SetClock(), NoObserver(), name)


def run_source(file: Path, observer: StageObserver | None = None, records_max: int = 20) -> RunSource:
    """The use case, on the log in a file."""
    return RunSource(lambda name: publisher(file, name), observer or NoObserver(), records_max)


class Capture:
    """A source that is open behind its snapshot, or at given positions."""

    def __init__(self, settings: PostgresSettings, columns: Mapping[str, frozenset[str]]) -> None:
        self.settings = settings
        self.columns = columns
        self.positions: dict[str, str] = {}
        self.published: list[SourceRecord] = []
        self.source = PostgresSource("t", settings, columns)

    def open(self) -> "Capture":
        self.source.open(self.positions)
        return self

    def read(self, records_max: int = 2_000) -> list[SourceRecord]:
        """Read all that is there for now; `published` has them, as a log that this is read into."""
        before = len(self.published)
        while (batch := self.source.read(records_max, 0.3)) is not None:
            self.published += batch.records
            self.positions |= batch.positions
            self.source.acknowledge(self.positions)
        return self.published[before:]

    def documents(self, records_max: int = 2_000) -> list[Document]:
        """The documents of what is there, without LSN and time."""
        made = []
        for record in self.read(records_max):
            assert isinstance(record.value, dict)
            made.append({name: record.value[name] for name in record.value if name not in {"lsn", "committed_at"}})
        return made

    def again(self, columns: Mapping[str, frozenset[str]] | None = None) -> "Capture":
        """Close it; open another at the positions."""
        self.source.close()
        self.source = PostgresSource("t", self.settings, columns or self.columns)
        return self.open()


def wait_for(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until something is so."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, "it has not happened"
        time.sleep(0.02)


def documents(file: Path) -> list[Document]:
    """What the log has, in order."""
    rows = Database(file).rows("SELECT value FROM records ORDER BY partition, position")
    return [msgspec.json.decode(value) for (value,) in rows]


class Running:
    """`RunSource.run` in a thread."""

    def __init__(
        self, run: RunSource, settings: PostgresSettings, columns: Mapping[str, frozenset[str]] = COLUMNS
    ) -> None:
        self.failure: PipelineError | None = None
        self.problems: list[str] = []
        self.lags: list[str] = []
        self.warnings: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(run, source(settings, columns)))
        self._thread.start()

    def _run(self, run: RunSource, captured: PostgresSource) -> None:
        try:
            run.run(captured, outgoing, self._stop.is_set, self._note)
        except PipelineError as error:
            self.failure = error

    def _note(self, progress: Any) -> None:
        self.lags.append(progress.lag)
        for found, noted in ((progress.problem, self.problems), (progress.warning, self.warnings)):
            if found and found not in noted:
                noted.append(found)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> PipelineError | None:
        """Wait until it has ended by itself; return why."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.failure

    def stop(self) -> None:
        """Stop it; a failure is in `failure`."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


WRITERS = 3


class Writer:
    """Writes orders, and knows what it wrote: each change gives its row a version of its own."""

    def __init__(self, settings: PostgresSettings, rows: int, seed: int = 7) -> None:
        self.histories: defaultdict[int, Seen] = defaultdict(list)
        self._settings = settings
        self._versions = count(rows)
        keys = range(10, 10 * rows + 10, 10)
        for number, key in enumerate(keys):
            self.histories[key].append(number)
        self._writers = [
            _RowWriter(number, random.Random(seed + number), {key for key in keys if key % WRITERS == number})
            for number in range(WRITERS)
        ]
        postgres_execute(
            settings,
            "CREATE TABLE public.orders (id bigint PRIMARY KEY, version bigint NOT NULL, note text)",
            f"INSERT INTO public.orders SELECT 10 * n + 10, n, 'order ' || n FROM generate_series(0, {rows - 1}) AS n",
        )

    def write(self, transactions: int) -> None:
        """Insert, update, move and delete rows, with keys below and above all others."""
        for number in range(transactions):
            self._write(self._writers[number % WRITERS], 1)

    def _write(self, writer: "_RowWriter", transactions: int) -> None:
        session = Session(self._settings)
        try:
            for _ in range(transactions):
                changes = [writer.change(next(self._versions)) for _ in range(writer.random.randrange(1, 4))]
                session.rows("BEGIN")
                for statement, _ in changes:
                    session.rows(statement)
                session.rows("COMMIT")
                for _, seen in changes:
                    for key, state in seen:
                        self.histories[key].append(state)
        finally:
            session.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in threads, whose transactions overlap, until the block ends."""
        ended, failures = threading.Event(), list[Exception]()

        def write(writer: _RowWriter) -> None:
            try:
                while not ended.wait(0.01):
                    self._write(writer, 5)
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in self._writers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert not failures


class _RowWriter:
    """Makes changes of rows that no other writer changes."""

    def __init__(self, number: int, dice: random.Random, alive: set[int]) -> None:
        self.random = dice
        self._number = number
        self._alive = alive

    def change(self, version: int) -> tuple[str, list[tuple[int, int | str]]]:
        """Make a statement, and the states that rows have after it."""
        kind = self.random.random()
        if kind < 0.3 or not self._alive:
            key = self._new_key()
            return f"INSERT INTO public.orders VALUES ({key}, {version}, 'new')", [(key, version)]
        old = self.random.choice(sorted(self._alive))
        if kind < 0.7:
            return f"UPDATE public.orders SET version = {version} WHERE id = {old}", [(old, version)]
        self._alive.discard(old)
        if kind < 0.85:
            return f"DELETE FROM public.orders WHERE id = {old}", [(old, DELETED)]
        key = self._new_key()
        moved = f"UPDATE public.orders SET id = {key}, version = {version} WHERE id = {old}"
        return moved, [(old, DELETED), (key, version)]

    def _new_key(self) -> int:
        while (key := WRITERS * self.random.randrange(1, 7_000) + self._number) in self._alive:
            continue
        self._alive.add(key)
        return key


def assert_exact(found: Sequence[Document], histories: Mapping[int, Seen]) -> None:
    """Each row's documents are a snapshot as of some moment, and every change after it, each once and in order."""
    assert len({document["id"] for document in found}) == len(found)
    commits = [lsn(document) for document in found if document["op"] != "snapshot"]
    assert commits == sorted(commits)
    rows = defaultdict[int, list[tuple[str, int | str]]](list)
    for document in found:
        for key, op, state in _states(document):
            rows[key].append((op, state))
    assert set(rows) <= set(histories)
    for key, history in histories.items():
        _assert_row(key, history, rows.get(key, []))


def lsn(document: Document) -> tuple[int, int]:
    """The document's position in the WAL, and its number in its transaction."""
    high, _, low = document["lsn"].partition("/")
    return (int(high, 16) << 32) + int(low, 16), int(document["id"].partition("-")[2] or 0)


def _states(document: Document) -> Iterable[tuple[int, str, int | str]]:
    row, op = document["row"], document["op"]
    if op == "delete":
        yield row["id"], op, DELETED
        return
    if op == "update" and document.get("old", {"id": row["id"]})["id"] != row["id"]:
        yield document["old"]["id"], "delete", DELETED
    yield row["id"], op, row["version"]


def _assert_row(key: int, history: Seen, found: list[tuple[str, int | str]]) -> None:
    states = [state for _, state in found]
    begin = len(history) - len(states)
    assert states == history[begin:], f"order {key} had {history}, the log has {found}"
    assert all(op != "snapshot" for op, _ in found[1:]), f"order {key} was read twice: {found}"
    is_from_snapshot = bool(found) and found[0][0] == "snapshot"
    began_dead = begin == 0 or history[begin - 1] == DELETED
    assert is_from_snapshot or began_dead, f"order {key} had {history}, the log begins with {found[:1]}"
