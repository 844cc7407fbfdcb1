"""ProgressLine: the progress of a command, on standard error."""

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from realtime_pipeline.domain.plurals import counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S: Final = 5.0
REDRAW_EVERY_S: Final = 0.1


class ProgressLine:
    """Shows a growing number: in place on a terminal, else as a line every 5 s; and the last number at the end.

    `singular` is what is counted, `done` the participle: ("event", "published"). On a terminal rich draws the line, in
    the calling thread, so that no thread outlives the command.
    """

    def __init__(self, singular: str, done: str) -> None:
        self._singular, self._done = singular, done
        self._in_place = sys.stderr.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}
        self._live: tuple[Progress, TaskID] | None = None
        self._number = self._shown = 0
        self._more = ""
        self._shown_at_s = time.monotonic() - LINE_EVERY_S
        self._problem_at_s = self._shown_at_s

    def update(self, number: int, more: str = "") -> None:
        """Set the number, and what is shown behind it; show both if the last was shown long enough ago."""
        self._number, self._more = number, more
        every_s = REDRAW_EVERY_S if self._in_place else LINE_EVERY_S
        if time.monotonic() - self._shown_at_s >= every_s:
            self._show()

    def report_problem(self, problem: str) -> None:
        """Show what delays the command, at most every 5 s; "" shows nothing."""
        now_s = time.monotonic()
        if problem and now_s - self._problem_at_s >= LINE_EVERY_S:
            self._problem_at_s = now_s
            if self._live is None:
                print(f"held up: {problem}", file=sys.stderr, flush=True)
            else:
                self._live[0].console.print(f"held up: {problem}", soft_wrap=True)

    def end(self) -> None:
        """Show the last number, and end the line."""
        self._show()
        if self._live is not None:
            self._live[0].stop()
            self._live = None

    def _show(self) -> None:
        if self._number == self._shown:
            return
        self._shown, self._shown_at_s = self._number, time.monotonic()
        text = f"{counted(self._number, self._singular)} {self._done}" + (f", {self._more}" if self._more else "")
        if not self._in_place:
            print(text, file=sys.stderr, flush=True)
            return
        if self._live is None:
            self._live = _live_line()
        progress, line = self._live
        progress.update(line, description=text, refresh=True)


def _live_line() -> "tuple[Progress, TaskID]":
    """Begin a line that rich redraws; rich is imported only if there is a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    progress = Progress(*columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    progress.start()
    return progress, progress.add_task("", total=None)
