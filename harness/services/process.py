"""A server process: it is started, waited for and stopped."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.support.errors import HarnessError

STOP_S = 60.0


def free_port() -> int:
    """A free port on the loopback interface, outside the range of ephemeral ports."""
    return free_ports(1)[0]


def free_ports(count: int) -> Sequence[int]:
    """Different free ports."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


class ServerProcess:
    """A server process and its log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_file: Path,
        is_ready: Callable[[], bool],
        ready_s: float,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._log_file = log_file
        self._is_ready = is_ready
        self._ready_s = ready_s
        self._environment = environment
        self._user = user
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise HarnessError(f"{self._name} is not running")
        return self._process.pid

    def log(self) -> str:
        """What the server has written into its log file."""
        return self._log_file.read_text("utf-8", "replace")

    def start(self, *options: str) -> None:
        """Start the server, with additional options, and wait until it answers.

        Raises:
            HarnessError: the server ended, or did not answer in time; the message has the end of its log.
        """
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else (),
                start_new_session=True,  # Ctrl-C must only reach the harness, which stops its servers itself
            )
        deadline_s = time.monotonic() + self._ready_s
        while (ended := self._process.poll()) is not None or not self._is_ready():  # another server may answer
            if ended is not None or time.monotonic() > deadline_s:
                self.kill()
                last_lines = self._log_file.read_text("utf-8", "replace")[-500:].replace("\n", " | ")
                raise HarnessError(f"{self._name} did not start: {last_lines}")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal (SIGSTOP, SIGCONT), if the server runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask the server to end; kill it where it does not."""
        self._end_by(signal.SIGTERM)

    def interrupt(self) -> None:
        """Ask the server by SIGINT to end; kill it where it does not."""
        self._end_by(signal.SIGINT)

    def _end_by(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
