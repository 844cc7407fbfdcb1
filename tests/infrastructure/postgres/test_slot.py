"""The slot: heartbeats, lag, warnings, and what is lost with it."""

import re
import time
from pathlib import Path

import attrs
import pytest

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import lsn_number
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from realtime_pipeline.infrastructure.postgres.source import bytes_text
from tests.support.captures import (
    Capture,
    Running,
    Writer,
    assert_exact,
    documents,
    outgoing,
    run_source,
    source,
    wait_for,
)
from tests.support.servers import postgres_execute, postgres_server_with, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

READ = {"public.t": frozenset({"id"})}
CREATE = "CREATE TABLE t (id int PRIMARY KEY)"
OTHER = "CREATE TABLE other (id int PRIMARY KEY, text text)"
WRITE_OTHER = "INSERT INTO other SELECT n, repeat('x', 500) FROM generate_series({0}, {0} + 9999) AS n"


def confirmed(settings: PostgresSettings) -> int:
    query = f"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{settings.slot}'"
    return lsn_number(str(postgres_execute(settings, query)[0][0]))


def open_capture(settings: PostgresSettings) -> Capture:
    postgres_execute(settings, CREATE)
    capture = Capture(settings, READ).open()
    capture.read()
    return capture


def test_a_quiet_table_does_not_hold_the_wal_that_others_write() -> None:
    """The log stores the position first; then the slot moves."""
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=100)
    postgres_execute(settings, OTHER)
    capture = open_capture(settings)
    before = confirmed(settings)
    postgres_execute(settings, WRITE_OTHER.format(0))
    ((end,),) = postgres_execute(settings, "SELECT pg_current_wal_flush_lsn()")
    batches = []
    while Position.decode(capture.positions["changes"]).lsn < lsn_number(str(end)):
        batch = capture.source.read(10, 0.2)
        if batch is not None:
            batches.append(batch)
            assert confirmed(settings) <= Position.decode(capture.positions["changes"]).lsn
            capture.positions |= batch.positions
            capture.source.acknowledge(capture.positions)
    assert batches
    assert all(batch.records == () for batch in batches)
    wait_for(lambda: confirmed(settings) >= lsn_number(str(end)))
    assert confirmed(settings) - before > 5_000_000
    time.sleep(0.3)
    while (batch := capture.source.read(10, 0.0)) is not None:  # the last of what was written
        capture.source.acknowledge(batch.positions)
    capture.source.close()


def test_the_slot_does_not_move_before_the_log_has_the_records() -> None:
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=50)
    capture = open_capture(settings)
    before = confirmed(settings)
    postgres_execute(settings, "INSERT INTO t VALUES (1)")
    batch = capture.source.read(10, 5.0)
    assert batch is not None
    for _ in range(5):
        assert (batch := capture.source.read(10, 0.1)) is None or batch.records == ()
        assert confirmed(settings) == before
    capture.source.close()


def test_postgres_that_asks_for_a_reply_is_told_no_more_than_the_log_has() -> None:
    """It asks twice in each `wal_sender_timeout`, whether or not the capture has a heartbeat."""
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=3_600_000)
    postgres_execute(settings, f"ALTER DATABASE {settings.database} SET wal_sender_timeout = '1s'")
    capture = open_capture(settings)
    before = confirmed(settings)
    postgres_execute(settings, "INSERT INTO t VALUES (1)")
    batch = capture.source.read(10, 5.0)
    assert batch is not None
    for _ in range(15):
        assert (batch := capture.source.read(10, 0.1)) is None or batch.records == ()
        assert confirmed(settings) == before
    capture.source.close()


def test_an_acknowledgement_moves_the_slot_no_further_than_it_says() -> None:
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=50)
    capture = open_capture(settings)
    ends = list[int]()
    for number in range(2):
        postgres_execute(settings, f"INSERT INTO t VALUES ({number})")
        batch = None
        while batch is None or not batch.records:
            batch = capture.source.read(10, 1.0)
        ends.append(Position.decode(batch.positions["changes"]).lsn)
        if not number:
            acknowledged = batch.positions
    for _ in range(5):
        capture.source.read(10, 0.1)
    capture.source.acknowledge(acknowledged)
    wait_for(lambda: confirmed(settings) >= ends[0])
    for _ in range(5):
        capture.source.read(10, 0.1)
        assert confirmed(settings) == ends[0]
    capture.source.close()


def test_lag_is_told_in_bytes_and_a_slot_that_retains_much_is_warned_of() -> None:
    settings = attrs.evolve(postgres_settings(), slot_warning_bytes=3_000_000)
    postgres_execute(settings, OTHER)
    capture = open_capture(settings)
    assert capture.source.warning() == ""
    postgres_execute(settings, WRITE_OTHER.format(0))
    time.sleep(1.1)  # a status is as old as a second
    behind = re.fullmatch(r"(\d+\.\d) MB behind", capture.source.lag())
    assert behind
    assert 5 < float(behind[1]) < 100
    assert re.fullmatch(
        rf"replication slot {settings.slot} retains \d+\.\d MB of WAL on Postgres's disk", capture.source.warning()
    )
    capture.source.close()


def test_postgres_shuts_down_while_a_capture_waits(tmp_path: Path) -> None:
    """It waits until its WAL is acknowledged: the capture does that at once, not with its next heartbeat."""
    server = postgres_server_with()
    settings = attrs.evolve(postgres_settings(server), heartbeat_ms=3_600_000)
    writer = Writer(settings, 10)
    running = Running(run_source(tmp_path / "shop.db"), settings)
    wait_for(lambda: bool(running.lags) and not running.lags[-1].startswith("reading"))
    postgres_execute(settings, OTHER, WRITE_OTHER.format(0))
    server.restart()
    assert "not properly shut down" not in server.process.log()
    running.lags.clear()
    writer.write(3)
    wait_for(lambda: len(running.lags) > 3)
    running.stop()
    assert running.failure is None
    run_source(tmp_path / "shop.db").catch_up(source(settings), outgoing)
    assert_exact(documents(tmp_path / "shop.db"), writer.histories)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 kB"), (3_355_443, "3.2 MB"), (1 << 31, "2.0 GB")],
)
def test_bytes_are_written_with_their_unit(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_a_slot_that_is_about_to_be_lost_and_lost() -> None:
    server = postgres_server_with(max_slot_wal_keep_size="16MB", max_wal_size="4GB", checkpoint_timeout="1h")
    settings = postgres_settings(server)
    postgres_execute(settings, OTHER)
    capture = open_capture(settings)
    for number in range(10):
        postgres_execute(settings, WRITE_OTHER.format(10_000 * number), "SELECT pg_switch_wal()")
    time.sleep(1.1)  # a status is as old as a second
    assert "is about to be lost: it retains more than max_slot_wal_keep_size; raise that" in capture.source.warning()
    postgres_execute(settings, "CHECKPOINT")
    capture.source.close()
    with pytest.raises(
        UnrecoverableState, match="is lost, since it retained more than max_slot_wal_keep_size: drop slot"
    ):
        capture.again()
    capture.source.close()


def test_a_dropped_slot_is_not_created_again() -> None:
    settings = postgres_settings()
    capture = open_capture(settings)
    capture.source.close()
    postgres_execute(settings, f"SELECT pg_drop_replication_slot('{settings.slot}')", "INSERT INTO t VALUES (1)")
    with pytest.raises(UnrecoverableState, match=r"was dropped, and changes since .* may be lost: capture under a new"):
        capture.again()
    postgres_execute(settings, f"SELECT pg_create_logical_replication_slot('{settings.slot}', 'pgoutput')")
    with pytest.raises(UnrecoverableState, match=r"was moved to .* by another program, the log has the changes up to"):
        capture.again()
    capture.source.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "7"}, "this is not the database system 7 that was captured up to now"),
        ({"timeline": 9}, r"was restored, or a standby was promoted \(timeline 1 instead of 9\)"),
        ({"lsn": 1 << 60}, "was restored from a copy; drop slot"),
    ],
    ids=["system", "timeline", "end"],
)
def test_another_or_a_restored_database_is_noticed(change: dict[str, object], message: str) -> None:
    capture = open_capture(postgres_settings())
    stored = attrs.evolve(Position.decode(capture.positions["changes"]), **change)  # type: ignore[arg-type]
    capture.positions = {"changes": stored.encode()}
    with pytest.raises(UnrecoverableState, match=message):
        capture.again()
    capture.source.close()


@pytest.mark.parametrize(
    "changes",
    [
        ("ALTER PUBLICATION {0} DROP TABLE t",),
        ("ALTER PUBLICATION {0} DROP TABLE t", "INSERT INTO t VALUES (1)", "ALTER PUBLICATION {0} ADD TABLE t"),
        ("DROP PUBLICATION {0}", "INSERT INTO t VALUES (1)", "CREATE PUBLICATION {0} FOR TABLE t"),
        ("DROP PUBLICATION {0}", "INSERT INTO t VALUES (1)", "CREATE PUBLICATION {0} FOR ALL TABLES"),
    ],
    ids=["out", "out and in", "dropped and created", "for all tables"],
)
def test_a_table_that_is_taken_out_of_the_publication_stops_the_capture(changes: tuple[str, ...]) -> None:
    """If only for a while: what was written meanwhile is in no stream."""
    settings = attrs.evolve(postgres_settings(), heartbeat_ms=50)
    capture = open_capture(settings)
    postgres_execute(settings, *(change.format(settings.publication) for change in changes))
    time.sleep(0.1)
    with pytest.raises(UnrecoverableState, match=r"public\.t was dropped, renamed or taken out of publication"):
        capture.read()
    capture.source.close()


def test_a_slot_of_another_kind_is_left_alone() -> None:
    settings = postgres_settings()
    postgres_execute(settings, CREATE, f"SELECT pg_create_physical_replication_slot('{settings.slot}')")
    with pytest.raises(Unavailable, match="is not of pgoutput, or of another database: name another one by"):
        Capture(settings, READ).open()
