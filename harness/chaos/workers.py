"""Processes of workers and captures that are killed, stopped and resumed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.support.errors import HarnessError

END_S = 30.0


class WorkerProcess:
    """A worker, or the capture of a source, in a process of its own.

    With the options of a fault, it kills or stops itself at a point.
    """

    def __init__(
        self, folder: Path, number: int, settings_file: Path, fault: Sequence[str] = (), source: str = ""
    ) -> None:
        self._name = f"{'capture' if source else 'worker'} {number} {' '.join(fault)}".strip()
        self._mark = folder / f"worker-{number}.reached"
        self._log_file = folder / f"worker-{number}.log"
        settings = ("--settings", str(settings_file))
        command = [sys.executable, "-m", "harness", "fault", "command" if source else "worker", *settings, "--on"]
        if fault:
            command += [*fault, "--mark", str(self._mark)]
        if source:
            command += ["--run", "capture", source, *settings]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def reached_point(self) -> bool:
        """Whether the worker has reached the point of its fault."""
        return self._mark.exists()

    @property
    def is_running(self) -> bool:
        """Whether the process exists, stopped or not."""
        return self._process.poll() is None

    def last_line(self) -> str:
        """The last line that the worker printed."""
        lines = self._log_file.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def description(self) -> str:
        """The worker's name, its state and the last lines that it printed, in one line."""
        state = "is running" if self.is_running else f"ended with {self._process.returncode}"
        return f"{self._name} {state}: {' | '.join(self._log_file.read_text('utf-8', 'replace').splitlines()[-5:])}"

    def memory_mb(self) -> float:
        """The resident memory of the process, in MB; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text("utf-8").split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def resume(self) -> None:
        """Let a stopped process run again."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask the worker to end, and wait for it.

        Raises:
            HarnessError: the worker had ended by itself, does not end, or ends with an error.
        """
        if not self.is_running:
            raise HarnessError(f"a worker has ended by itself, with {self._process.returncode}: {self.last_line()}")
        self._process.terminate()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HarnessError(f"a worker that was asked to end did not: {self.last_line()}") from None
        if code != 0:
            raise HarnessError(f"a worker ended with {code}: {self.last_line()}")

    def wait_for_exit(self) -> tuple[int, str]:
        """Wait until the worker ends by itself; return its exit code and the last line that it printed."""
        deadline_s = time.monotonic() + END_S
        while self.is_running:
            if time.monotonic() > deadline_s:
                self.kill()
                raise HarnessError(f"a worker that had to end by itself did not: {self.last_line()}")
            time.sleep(0.05)
        return self._process.returncode, self.last_line()

    def kill_if_running(self) -> None:
        """Kill the process, unless it has ended."""
        if self.is_running:
            self.kill()
