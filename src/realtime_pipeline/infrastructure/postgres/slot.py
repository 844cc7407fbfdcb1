"""The replication slot of a capture: it keeps the WAL that was not read yet."""

import time
from typing import Final

import attrs

from realtime_pipeline.application.errors import PipelineError, Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.infrastructure.postgres.position import Position
from realtime_pipeline.infrastructure.postgres.session import Session, StatementFailed, lsn_number, lsn_text
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings

CREATION_S: Final = 600.0
"""How long a slot may take: Postgres waits for all transactions that are running."""

TELL_S: Final = 0.5
RELEASE_WAIT_S: Final = 5.0
"""How long a slot may be in use by a connection that is lost already."""

_STATUS: Final = """
SELECT pg_current_wal_lsn(), s.slot_type, s.plugin, s.database = current_database(), s.active, s.confirmed_flush_lsn,
  s.wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint
FROM (SELECT 1) AS one LEFT JOIN pg_replication_slots s ON s.slot_name = $1
"""
_IDENTITY: Final = """
SELECT system_identifier, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
FROM pg_control_system()
"""


@attrs.frozen
class SlotStatus:
    """A slot: what of the WAL it has confirmed, and how many bytes it retains."""

    wal_lsn: int
    is_active: bool
    confirmed_lsn: int
    wal_status: str
    retained_bytes: int


class Slot:
    """Creates, checks and watches the slot that the settings name."""

    def __init__(self, settings: PostgresSettings, session: Session) -> None:
        self._settings = settings
        self._session = session

    def identity(self) -> tuple[str, int]:
        """The identifier of the database system, and the timeline of its WAL.

        Raises:
            Unreachable: the server is a standby.
        """
        if self._session.rows("SELECT pg_is_in_recovery()") == [("t",)]:
            raise Unreachable(f"Postgres at {self._settings.host} is a standby: changes are captured from the primary")
        ((system, timeline),) = self._session.rows(_IDENTITY)
        return str(system), int(str(timeline))

    def status(self) -> SlotStatus | None:
        """Look at the slot; None if there is none.

        Raises:
            Unavailable: the slot is another kind.
            UnrecoverableState: WAL that was not read yet is deleted.
        """
        ((wal_lsn, kind, plugin, is_here, active, confirmed, wal_status, retained),) = self._session.rows(
            _STATUS, self._settings.slot
        )
        if kind is None:
            return None
        if plugin != "pgoutput" or is_here != "t":
            raise Unavailable(
                f"replication slot {self._settings.slot} is not of pgoutput, or of another database: name another one "
                "by postgres.slot"
            )
        if wal_status == "lost" or confirmed is None:
            raise UnrecoverableState(
                f"replication slot {self._settings.slot} is lost, since it retained more than max_slot_wal_keep_size: "
                f"{self.begin_again()}"
            )
        return SlotStatus(
            lsn_number(str(wal_lsn)),
            active == "t",
            lsn_number(confirmed),
            str(wal_status),
            int(retained or 0),
        )

    def begin_again(self) -> str:
        """What an operator does where changes are lost."""
        return (
            f"drop slot {self._settings.slot} by pg_drop_replication_slot, then capture under a new name, which reads "
            "the tables from the beginning"
        )

    def create(self) -> SlotStatus:
        """Create the slot.

        Raises:
            Unavailable: the user may not, or there is no free slot; the message has what to run.
        """
        try:
            self._session.try_rows(
                "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", self._settings.slot, timeout_s=CREATION_S
            )
        except StatementFailed as failed:
            if failed.sqlstate == "42501":
                user = self._settings.user.replace('"', '""')
                raise Unavailable(
                    f'user {self._settings.user} may not create a replication slot: ALTER ROLE "{user}" REPLICATION'
                ) from None
            raise failed.error from None
        created = self.status()
        if created is None:
            raise Unreachable(f"replication slot {self._settings.slot} was dropped by someone else")
        return created

    def check(self, position: Position) -> None:
        """Check that the slot has all WAL from a position on, of the same database.

        Raises:
            UnrecoverableState: it has not; the message has what to do.
        """
        system, timeline = self.identity()
        if system != position.system:
            raise UnrecoverableState(
                f"this is not the database system {position.system} that was captured up to now, but {system}: "
                f"{self.begin_again()}"
            )
        if timeline != position.timeline:
            raise UnrecoverableState(
                f"Postgres was restored, or a standby was promoted (timeline {timeline} instead of "
                f"{position.timeline}): what was captured may not be in it; {self.begin_again()}"
            )
        status = self.status()
        if status is None:
            raise UnrecoverableState(
                f"replication slot {self._settings.slot} was dropped, and changes since {lsn_text(position.lsn)} may "
                "be lost: capture under a new name, which reads the tables from the beginning"
            )
        if status.confirmed_lsn > position.lsn:
            raise UnrecoverableState(
                f"replication slot {self._settings.slot} was moved to {lsn_text(status.confirmed_lsn)} by another "
                f"program, the log has the changes up to {lsn_text(position.lsn)}: {self.begin_again()}"
            )
        if status.wal_lsn < position.lsn:
            raise UnrecoverableState(
                f"Postgres's WAL ends at {lsn_text(status.wal_lsn)}, before {lsn_text(position.lsn)}, which is "
                f"captured: it was restored from a copy; {self.begin_again()}"
            )

    def wait_until_free(self) -> None:
        """Wait until no connection uses the slot.

        Raises:
            Unreachable: another process uses it. It will find that its claim of the source has ended as soon as it has
                something to publish: a message in the WAL gives it that.
        """
        begin_s, is_told = time.monotonic(), False
        while (status := self.status()) is not None and status.is_active:
            waited_s = time.monotonic() - begin_s
            if waited_s > TELL_S and not is_told:
                self._session.rows("SELECT pg_logical_emit_message(true, 'realtime-pipeline', '')")
                is_told = True
            if waited_s > RELEASE_WAIT_S:
                raise Unreachable(
                    f"another process reads replication slot {self._settings.slot}: waiting until it has ended"
                )
            time.sleep(0.02)

    def unreadable(self, error: PipelineError) -> PipelineError:
        """Say of an error of the stream what to do, where the publication or the slot is not there any more."""
        if not isinstance(error, Unreachable) and "does not exist" in str(error):
            return UnrecoverableState(f"{error}: {self.begin_again()}")
        return error
