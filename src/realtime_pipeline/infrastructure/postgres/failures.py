"""What Postgres's errors mean to the pipeline."""

from typing import Final

from psycopg import errors

from realtime_pipeline.application.errors import PipelineError, Unavailable, Unreachable, UnrecoverableState

UNREACHABLE_CLASSES: Final = ("08", "53", "57", "58")
"""Lost connections, too few resources, shutdown and start, I/O errors: these SQLSTATE classes pass."""

UNREACHABLE: Final = frozenset((
    "25006",  # read-only: the server is a standby now
    "40001",
    "40P01",
    errors.ObjectInUse.sqlstate,
    errors.LockNotAvailable.sqlstate,
))  # fmt: skip

ACCESS_DENIED_TEXTS: Final = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "pg_hba.conf rejects",
    "certificate",
    "server does not support SSL",
    "is not permitted to log in",
    "permission denied",
    "could not translate host name",
)
"""libpq gives no SQLSTATE for a connection that was refused: its text says why, in English by default."""

CONFIGURATION_LIMIT: Final = "53400"


def one_line(message: str) -> str:
    """Shorten a message of Postgres to one line, without the severity."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    return " ".join(lines)[:500].removeprefix("ERROR:").removeprefix("FATAL:").strip()


def connect_error(address: str, user: str, message: str) -> PipelineError:
    """Translate why a connection could not be opened."""
    line = one_line(message)
    if "walsender" in line or "WAL sender" in line:
        quoted = user.replace('"', '""')
        return Unavailable(f'user {user} may not read a replication slot: ALTER ROLE "{quoted}" REPLICATION ({line})')
    denied = any(text in line for text in ACCESS_DENIED_TEXTS)
    denied = denied or ("does not exist" in line and ("role" in line or "database" in line))
    if denied:
        return Unavailable(
            f"Postgres at {address} refused the connection: check host, database, user, password and sslmode ({line})"
        )
    return Unreachable(f"Postgres at {address} does not answer: {line}")


def query_error(address: str, sqlstate: str, message: str) -> PipelineError:
    """Translate the error of a statement, by its SQLSTATE ("" where the connection was lost)."""
    line = one_line(message)
    if sqlstate == CONFIGURATION_LIMIT and "slot" in line:
        return Unavailable(f"Postgres at {address} has no free replication slot: raise max_replication_slots ({line})")
    if not sqlstate or sqlstate in UNREACHABLE or sqlstate.startswith(UNREACHABLE_CLASSES):
        return Unreachable(f"Postgres at {address} does not answer: {line}")
    if "can no longer" in line or "has been invalidated" in line:
        return UnrecoverableState(f"Postgres at {address} has lost WAL that was not read yet ({line})")
    return Unavailable(f"Postgres at {address} refused a statement: {line} (SQLSTATE {sqlstate})")
