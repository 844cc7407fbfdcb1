"""Settings of a Postgres server whose tables are captured."""

import re
from typing import Final, Literal

import attrs

from realtime_pipeline.domain.limits import at_least, at_most
from realtime_pipeline.infrastructure.secrets import secret

NAME_BYTES_MAX: Final = 63
"""The longest name of Postgres (NAMEDATALEN)."""

_SLOT_NAME: Final = re.compile(r"[a-z0-9_]{1,63}")


@attrs.frozen
class PostgresSettings:
    """Server, database, user, and the replication slot and publication of one capture.

    `host` may be several names, separated by commas: the primary among them is used. The password comes from the
    environment (`REALTIME_PIPELINE_SOURCES__NAME__POSTGRES__PASSWORD`) or from `password_file`. `sslmode` is libpq's.
    Every capture needs a slot of its own.
    """

    host: str = "127.0.0.1"
    port: int = 5432
    database: str = "postgres"
    user: str = "postgres"
    password: str = attrs.field(default="", repr=False)
    password_file: str = ""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: str = ""
    slot: str = "realtime_pipeline"
    publication: str = "realtime_pipeline"
    heartbeat_ms: int = 10_000
    slot_warning_bytes: int = 1 << 30
    request_timeout_ms: int = 15_000

    def __attrs_post_init__(self) -> None:
        at_least(1, self)
        at_most(65_535, self, "port")
        for name in ("host", "database", "user"):
            if not getattr(self, name):
                raise ValueError(f"postgres.{name} must not be empty")
        if not _SLOT_NAME.fullmatch(self.slot):
            raise ValueError(f"postgres.slot must be 1 to 63 of a-z, 0-9 and _, not {self.slot!r}")
        if not 0 < len(self.publication.encode()) <= NAME_BYTES_MAX:
            raise ValueError("postgres.publication must be a name of at most 63 bytes")

    @property
    def request_timeout_s(self) -> float:
        """How long a reply may take, in seconds."""
        return self.request_timeout_ms / 1000

    def connection_options(self) -> dict[str, str]:
        """Return the options of every connection, by their libpq names."""
        timeout_s = max(2, round(self.request_timeout_s))
        options: dict[str, str] = {
            "host": self.host,
            "port": str(self.port),
            "dbname": self.database,
            "user": self.user,
            "sslmode": self.sslmode,
            "target_session_attrs": "primary",
            "connect_timeout": str(timeout_s),
            "tcp_user_timeout": str(1000 * timeout_s),
            "keepalives_idle": str(timeout_s),
        }
        if password := secret(self.password, self.password_file, "postgres.password_file"):
            options["password"] = password
        if self.sslrootcert:
            options["sslrootcert"] = self.sslrootcert
        return options
