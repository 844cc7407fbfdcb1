"""Worker processes that are killed, stopped and let go on."""

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
    """One worker. A victim brings itself down, or stops itself, when it reaches its point."""

    def __init__(self, folder: Path, number: int, settings_file: Path, fault: Sequence[str] = ()) -> None:
        self._name = f"worker {number} {' '.join(fault)}".strip()
        self._mark = folder / f"worker-{number}.reached"
        self._log_file = folder / f"worker-{number}.log"
        command = [sys.executable, "-m", "harness", "fault", "worker", "--settings", str(settings_file), "--on"]
        if fault:
            command += [*fault, "--mark", str(self._mark)]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def has_reached(self) -> bool:
        """Whether it has come to its point."""
        return self._mark.exists()

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def said(self) -> str:
        """The last line it printed."""
        lines = self._log_file.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def described(self) -> str:
        """What it is, whether it is there, and what it said last."""
        state = "is running" if self.is_running else f"ended with {self._process.returncode}"
        return f"{self._name} {state}: {' | '.join(self._log_file.read_text('utf-8', 'replace').splitlines()[-5:])}"

    def memory_mb(self) -> float:
        """How much memory the process has now, in MB; 0 where that cannot be known."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text("utf-8").split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def go_on(self) -> None:
        """Let a stopped process go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end.

        Raises:
            HarnessError: it had ended by itself, or does not end.
        """
        if not self.is_running:
            raise HarnessError(f"a worker has ended by itself, with {self._process.returncode}: {self.said()}")
        self._process.terminate()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HarnessError(f"a worker that was asked to end did not: {self.said()}") from None
        if code != 0:
            raise HarnessError(f"a worker ended with {code}: {self.said()}")

    def end(self) -> tuple[int, str]:
        """Wait for it to end by itself; return its exit code and what it said last."""
        deadline_s = time.monotonic() + END_S
        while self.is_running:
            if time.monotonic() > deadline_s:
                self.kill()
                raise HarnessError(f"a worker that had to stop went on: {self.said()}")
            time.sleep(0.05)
        return self._process.returncode, self.said()

    def clear(self) -> None:
        """Leave nothing behind, whatever has happened."""
        if self.is_running:
            self._process.kill()
            self._process.wait()
