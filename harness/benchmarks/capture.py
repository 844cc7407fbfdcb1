"""`bench capture`: rows of Postgres per CPU-second, beside plain reading, and the lag of changes at a rate."""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from harness.services.postgres import PASSWORD, SUPERUSER, temporary_postgres
from harness.support.console import console, heading, percentile
from harness.support.errors import HarnessError
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.ingestion.run_source import BATCH_RECORDS_MAX, RunSource
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.observer import Stage, StageObserver
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.composition.tables import LOGS
from realtime_pipeline.infrastructure.postgres.session import Session
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.source import PostgresSource

TABLE = "public.orders"
COLUMNS = {TABLE: frozenset({"id", "customer", "price"})}
CREATE = (
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, customer text, product text, quantity int, "
    "price numeric(10, 2), currency text, ordered_at timestamptz, note text)"
)
ROWS = (
    "INSERT INTO public.orders SELECT n, 'customer-' || n % 50000, 'product-' || n % 2000, n % 5, n % 10000 / 100.0, "
    "'EUR', now(), repeat('x', 40) FROM generate_series({0}, {1}) AS n"
)
TRANSACTION_ROWS = 10
IDLE_READS = 3
_encode = msgspec.json.Encoder(decimal_format="number").encode


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Read a table in each way, then capture changes at a rate."""
    with temporary_postgres() as server, tempfile.TemporaryDirectory() as folder:
        settings = PostgresSettings(port=server.port, user=SUPERUSER, password=PASSWORD)
        _execute(settings, CREATE, ROWS.format(1, options.rows), "VACUUM ANALYZE public.orders")
        figures: dict[str, object] = {}
        heading(f"{options.rows:,} rows of Postgres, each way in a process of its own")
        for name, read in WAYS.items():
            if name == "stream":
                _execute(settings, ROWS.format(options.rows + 1, 2 * options.rows))
            figures[name] = _measured(name, read, settings, Path(folder))
        figures["lag"] = _lag(settings, Path(folder), options.rate, options.seconds)
    return figures


def _measured(
    name: str, read: Callable[[PostgresSettings, Path], tuple[int, float]], settings: PostgresSettings, folder: Path
) -> Mapping[str, float]:
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        rows, cpu_s, wall_s, peak_mb = processes.submit(_in_process, read, settings, folder).result()
    console.print(
        f"  {name:<16} {rows / cpu_s:>10,.0f} rows per CPU-second {rows / wall_s:>10,.0f} rows a second "
        f"{peak_mb:>6,.0f} MB at most"
    )
    return {"rows": rows, "rows_per_cpu_second": rows / cpu_s, "rows_per_second": rows / wall_s, "peak_mb": peak_mb}


def _in_process(
    read: Callable[[PostgresSettings, Path], tuple[int, float]], settings: PostgresSettings, folder: Path
) -> tuple[int, float, float, float]:
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    rows, idle_s = read(settings, folder)
    cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s - idle_s
    return rows, cpu_s, wall_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _plain(settings: PostgresSettings, _folder: Path) -> tuple[int, float]:
    """Read the table by SELECT, as text, and do nothing with it."""
    session, rows = Session(settings), 0
    session.rows("BEGIN")
    session.rows("DECLARE plain CURSOR FOR SELECT * FROM public.orders")
    while found := session.rows(f"FETCH {BATCH_RECORDS_MAX} FROM plain"):
        rows += len(found)
    session.close()
    return rows, 0.0


def _snapshot(settings: PostgresSettings, folder: Path) -> tuple[int, float]:
    """Read the table as the source's documents, without a log."""
    return _read(settings, {}, folder / "positions")


def _stream(settings: PostgresSettings, folder: Path) -> tuple[int, float]:
    """Read the rows of one large transaction as documents, without a log."""
    positions = msgspec.json.decode((folder / "positions").read_bytes())
    return _read(settings, positions, folder / "behind")


def _to_log(settings: PostgresSettings, folder: Path) -> tuple[int, float]:
    """Capture the table into a log in SQLite, by a slot of its own."""
    source = PostgresSource("logged", _logged(settings), COLUMNS)
    with Pipeline(Settings(database=str(folder / "shop.db"), partitions=1)) as pipeline:
        return pipeline.container.run_source().catch_up(source, _outgoing).records, 0.0


WAYS: Mapping[str, Callable[[PostgresSettings, Path], tuple[int, float]]] = {
    "plain SELECT": _plain,
    "snapshot": _snapshot,
    "stream": _stream,
    "snapshot to log": _to_log,
}


def _read(settings: PostgresSettings, positions: dict[str, str], file: Path) -> tuple[int, float]:
    source, rows, idle = PostgresSource("bench", settings, COLUMNS), 0, 0
    source.open(positions)
    while idle < IDLE_READS:
        batch = source.read(BATCH_RECORDS_MAX, 0.05)
        idle = 0 if batch is not None else idle + 1
        if batch is not None:
            rows += len(batch.records)
            positions = {**positions, **batch.positions}
            source.acknowledge(positions)
    source.close()
    file.write_bytes(msgspec.json.encode(positions))
    return rows, IDLE_READS * 0.05


def _outgoing(record: SourceRecord) -> Sequence[Outgoing]:
    document: Any = record.value
    return [Outgoing(document["row"]["customer"].encode(), _encode(document), record.origin)]


def _logged(settings: PostgresSettings) -> PostgresSettings:
    options = {name: getattr(settings, name) for name in PostgresSettings.__annotations__}
    return PostgresSettings(**{**options, "slot": "logged"})


class _Lag(StageObserver):
    """Notes for each row the ms from its commit to its publication."""

    def __init__(self) -> None:
        self.lags_ms: list[float] = []
        self._committed_ms: list[int] = []

    def outgoing(self, record: SourceRecord) -> Sequence[Outgoing]:
        """Make the log's record, and note when it was committed."""
        document: Any = record.value
        self._committed_ms.append(document["committed_at"])
        return _outgoing(record)

    def reached(self, stage: Stage, records: int) -> None:
        """When the rows are in the log, note how long that took."""
        if stage is Stage.SOURCE_PUBLISHED:
            now_ms = time.time_ns() / 1e6
            self.lags_ms += [now_ms - committed_ms for committed_ms in self._committed_ms]
            self._committed_ms.clear()


def _lag(settings: PostgresSettings, folder: Path, rate: int, seconds: int) -> Mapping[str, float]:
    """Insert rows at a rate in a process, capture them in this one."""
    logged, observer = _logged(settings), _Lag()
    with Pipeline(Settings(database=str(folder / "shop.db"), partitions=1)) as pipeline:
        container = pipeline.container
        log = LOGS[container.settings().log]
        container.run_source().catch_up(PostgresSource("logged", logged, COLUMNS), _outgoing)
        run_source, ended = RunSource(lambda name: log.source_publisher(container, name), observer), threading.Event()
        source = PostgresSource("logged", logged, COLUMNS)
        with ProcessPoolExecutor(1, get_context("spawn")) as processes:
            writing = processes.submit(_insert, settings, rate, seconds)
            writing.add_done_callback(lambda _: ended.set())
            began_cpu_s = time.process_time()
            run_source.run(source, observer.outgoing, ended.is_set)
            run_source.catch_up(source, observer.outgoing)
            cpu_s, reached = time.process_time() - began_cpu_s, writing.result()
    lags_ms = observer.lags_ms
    if len(lags_ms) < rate:
        raise HarnessError(f"only {len(lags_ms)} rows were captured; is the machine too busy?")
    p50, p99 = percentile(lags_ms, 0.5), percentile(lags_ms, 0.99)
    heading(f"Lag from commit to the log in SQLite, at {reached:,.0f} rows a second")
    console.print(
        f"  {p50:.0f} ms (p50), {p99:.0f} ms (p99), {max(lags_ms):.0f} ms at most, of {len(lags_ms):,} rows in "
        f"transactions of {TRANSACTION_ROWS}; {cpu_s / seconds:.0%} of a core"
    )
    return {"p50_ms": p50, "p99_ms": p99, "max_ms": max(lags_ms), "rows": len(lags_ms), "rows_per_second": reached}


def _insert(settings: PostgresSettings, rate: int, seconds: int) -> float:
    """Insert rows at a rate; return the rate that was reached."""
    os.nice(1)
    session, inserted, began_s, first = Session(settings), 0, time.monotonic(), 10**9
    while time.monotonic() - began_s < seconds:
        session.rows(ROWS.format(first + inserted, first + inserted + TRANSACTION_ROWS - 1))
        inserted += TRANSACTION_ROWS
        time.sleep(max(0.0, inserted / rate - (time.monotonic() - began_s)))
    session.close()
    return inserted / (time.monotonic() - began_s)


def _execute(settings: PostgresSettings, *statements: str) -> None:
    session = Session(settings)
    for statement in statements:
        session.rows(statement, timeout_s=600)
    session.close()
