"""What a person must do is said in one line; what passes is waited for."""

from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import attrs
import pytest

from realtime_pipeline.application.errors import PipelineError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.postgres.failures import connect_error, query_error
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.captures import Capture
from tests.support.servers import postgres_execute, postgres_server_with, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

PASSWORD = "another secret"  # noqa: S105
READ = {"public.t": frozenset({"id"})}
CREATE = "CREATE TABLE t (id int PRIMARY KEY)"


def failure(settings: PostgresSettings, columns: dict[str, frozenset[str]] | None = None) -> PipelineError:
    """Why a capture cannot be opened."""
    capture = Capture(settings, columns or READ)
    with pytest.raises(Unavailable) as raised:
        capture.open()
    capture.source.close()
    assert "\n" not in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert PASSWORD not in repr(settings)
    return raised.value


def denied(settings: PostgresSettings, columns: dict[str, frozenset[str]] | None = None) -> str:
    """The line that says what a person must do."""
    error = failure(settings, columns)
    assert not isinstance(error, Unreachable)
    return str(error)


@pytest.fixture
def settings() -> PostgresSettings:
    made = postgres_settings()
    postgres_execute(made, CREATE)
    return made


@pytest.fixture
def clerk(settings: PostgresSettings) -> PostgresSettings:
    """A user who may do nothing yet."""
    user = f"clerk_{settings.slot}"
    postgres_execute(settings, f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    return attrs.evolve(settings, user=user, password=PASSWORD)


def test_refused_connections(settings: PostgresSettings) -> None:
    assert "refused the connection: check host" in denied(attrs.evolve(settings, password=PASSWORD * 2))
    assert "refused the connection" in denied(attrs.evolve(settings, user="nobody_known"))
    assert 'database "nowhere" does not exist' in denied(attrs.evolve(settings, database="nowhere"))
    assert "server does not support SSL" in denied(attrs.evolve(settings, sslmode="require"))


def test_a_password_file(settings: PostgresSettings, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(settings.password + "\n", "utf-8")
    capture = Capture(attrs.evolve(settings, password="", password_file=str(file)), READ).open()
    assert capture.read() == []
    capture.source.close()
    assert "postgres.password_file" in denied(attrs.evolve(settings, password_file=str(tmp_path / "none")))


def test_a_user_is_granted_what_each_message_says(settings: PostgresSettings, clerk: PostgresSettings) -> None:
    """From nothing to a capture that runs, by the statements that the messages give."""
    postgres_execute(settings, "REVOKE ALL ON SCHEMA public FROM public")
    grants = denied(clerk)
    assert grants.startswith(f"user {clerk.user} may not read public.t: GRANT USAGE")
    postgres_execute(settings, *grants.partition(": ")[2].split("; "))
    create = denied(clerk)
    postgres_execute(settings, create.partition("run ")[2].removesuffix(" as the tables' owner"))
    replicate = denied(clerk)
    assert replicate.startswith(f"user {clerk.user} may not create a replication slot: ")
    postgres_execute(settings, replicate.partition(": ")[2])
    postgres_execute(settings, "INSERT INTO t VALUES (1)")
    capture = Capture(clerk, READ).open()
    postgres_execute(settings, "INSERT INTO t VALUES (2)")
    assert [document["row"]["id"] for document in capture.documents()] == [1, 2]
    capture.source.close()


def test_a_user_whose_right_to_replicate_is_taken_away(settings: PostgresSettings) -> None:
    capture = Capture(settings, READ).open()
    capture.read()
    capture.source.close()
    user = f"late_{settings.slot}"
    postgres_execute(settings, f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data")
    capture.settings = attrs.evolve(settings, user=user, password=PASSWORD)
    with pytest.raises(Unavailable, match=f'may not read a replication slot: ALTER ROLE "{user}" REPLICATION'):
        capture.again()
    capture.source.close()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("DROP TABLE t", "has no table public.t: name tables with their schema"),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey", "public.t has no primary key"),
        ("ALTER TABLE t REPLICA IDENTITY NOTHING", 'ALTER TABLE "public"."t" REPLICA IDENTITY DEFAULT'),
        ("CREATE PUBLICATION {0}", 'publication {0} lacks public.t: ALTER PUBLICATION "{0}" ADD TABLE "public"."t"'),
        (
            "CREATE PUBLICATION {0} FOR TABLE t WITH (publish = 'insert')",
            """ALTER PUBLICATION "{0}" SET (publish = 'insert, update, delete, truncate')""",
        ),
        ("CREATE PUBLICATION {0} FOR TABLE t WHERE (id > 1)", "filters the rows of public.t"),
    ],
)
def test_tables_and_publications_that_cannot_be_captured(
    settings: PostgresSettings, prepare: str, message: str
) -> None:
    postgres_execute(settings, prepare.format(settings.publication))
    assert message.format(settings.publication) in denied(settings)


def test_a_published_list_of_columns_must_have_what_the_mapping_reads(settings: PostgresSettings) -> None:
    postgres_execute(
        settings,
        "ALTER TABLE t ADD COLUMN a int",
        "ALTER TABLE t ADD COLUMN b int",
        f"CREATE PUBLICATION {settings.publication} FOR TABLE t (id, a)",
        "INSERT INTO t VALUES (1, 2, 3)",
    )
    capture = Capture(settings, {"public.t": frozenset({"a"})}).open()
    postgres_execute(settings, "INSERT INTO t VALUES (4, 5, 6)")
    assert [document["row"] for document in capture.documents()] == [{"id": 1, "a": 2}, {"id": 4, "a": 5}]
    capture.source.close()
    other = attrs.evolve(settings, slot=settings.slot + "_b")
    with pytest.raises(UnrecoverableState, match=r"public\.t has no column b, which the mapping reads"):
        Capture(other, {"public.t": frozenset({"b"})}).open()


def test_a_server_without_logical_replication() -> None:
    settings = postgres_settings(postgres_server_with(wal_level="replica"))
    postgres_execute(settings, CREATE)
    assert "ALTER SYSTEM SET wal_level = 'logical', and restart Postgres" in denied(settings)


def test_a_server_without_free_slots() -> None:
    settings = postgres_settings(postgres_server_with(max_replication_slots="1"))
    postgres_execute(settings, CREATE, "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
    assert "has no free replication slot: raise max_replication_slots" in denied(settings)


def test_a_server_that_is_down_or_stands_still(settings: PostgresSettings) -> None:
    server = postgres_server_with()
    quick = attrs.evolve(postgres_settings(server), request_timeout_ms=500)
    postgres_execute(quick, CREATE)
    capture = Capture(quick, READ).open()
    capture.read()
    server.signal_all(SIGSTOP)
    try:
        with pytest.raises(Unreachable, match="did not reply in time"):
            capture.source._control.rows("SELECT 1")  # type: ignore[union-attr]
        with pytest.raises(Unreachable, match="does not answer"):
            capture.again()
    finally:
        server.signal_all(SIGCONT)
    with suppress(PipelineError):
        capture.source.close()
    capture.again()
    server.kill()
    with pytest.raises(Unreachable):
        capture.read()
    with pytest.raises(Unreachable, match="does not answer"):
        capture.again()
    server.process.start()
    postgres_execute(quick, "INSERT INTO t VALUES (1)")
    assert [document["op"] for document in capture.again().documents()] == ["insert"]
    capture.source.close()


@pytest.mark.parametrize(
    ("sqlstate", "message", "kind"),
    [
        ("57P03", "the database system is starting up", Unreachable),
        ("57P01", "terminating connection due to administrator command", Unreachable),
        ("53300", "sorry, too many clients already", Unreachable),
        ("25006", "cannot execute CREATE TABLE in a read-only transaction", Unreachable),
        ("55006", "replication slot is active for PID 7", Unreachable),
        ("", "", Unreachable),
        ("42501", "permission denied", Unavailable),
        ("55000", "can no longer get changes from replication slot", UnrecoverableState),
    ],
)
def test_errors_of_statements(sqlstate: str, message: str, kind: type[PipelineError]) -> None:
    assert type(query_error("db:5432", sqlstate, f"ERROR:  {message}\nDETAIL:  more\n")) is kind


def test_errors_of_connections() -> None:
    passing = "connection failed: FATAL:  sorry, too many clients already\n"
    assert type(connect_error("db:5432", "ada", passing)) is Unreachable
    old = "FATAL:  must be superuser or replication role to start walsender\n"
    assert "ALTER ROLE" in str(connect_error("db:5432", "ada", old))


@pytest.mark.parametrize(
    ("name", "value"),
    [("slot", "My Slot"), ("slot", ""), ("publication", ""), ("publication", "x" * 64), ("host", ""), ("port", 0),
     ("port", 70_000), ("heartbeat_ms", 0), ("request_timeout_ms", -1)],
)  # fmt: skip
def test_settings_that_cannot_be(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        PostgresSettings(**{name: value})  # type: ignore[arg-type]
