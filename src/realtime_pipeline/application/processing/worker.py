"""Worker: calls `ProcessEvents` round after round, until it is stopped or has caught up."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from realtime_pipeline.application.errors import RecoverableError, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.upkeep import Upkeep
from realtime_pipeline.application.processing.process_events import ProcessEvents, Round

ASSIGNMENT_WAIT_MS: Final = 60_000
"""How long `catch_up` waits for a partition before it gives up."""


class Worker:
    """Runs rounds. One thread at a time may call it."""

    def __init__(
        self, process_events: ProcessEvents, log: EventLog, upkeep: Upkeep, clock: Clock, idle_wait_ms: int
    ) -> None:
        self._process_events = process_events
        self._log = log
        self._upkeep = upkeep
        self._clock = clock
        self._idle_wait_s = idle_wait_ms / 1000

    def run(self, stop: Callable[[], bool], on_round: Callable[[Round], None]) -> None:
        """Run rounds until `stop`, which is called between rounds, returns True; then drain.

        Raises:
            UnrecoverableState, Unavailable: as `ProcessEvents`.
        """
        while not stop():
            on_round(self._process_events(self._idle_wait_s))
        self._process_events.drain()

    def catch_up(
        self, on_round: Callable[[Round], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Process all records up to the end that the log has when the call begins, or until `stop` returns True.

        What this worker itself appends to the log meanwhile is processed too. On return all outboxes are merged and
        emitted, and the results of final windows are written.

        Raises:
            UnrecoverableState: as `ProcessEvents`; or no partition was assigned for a minute.
            Unavailable: as `ProcessEvents`.
        """
        rounds = self._process_events
        on_round(rounds(0))
        began_ms = self._clock.now_ms()
        rounds.schedule.verify_next()  # somebody may have emptied the store since
        on_round(rounds(0))
        ends: dict[int, int] = {}
        while not stop() and not self._has_caught_up(ends):
            self._check_assignment(began_ms)
            on_round(rounds(self._idle_wait_s if rounds.schedule.lingers else 0))
        with suppress(RecoverableError):  # the next worker does it
            rounds.keep_windows()
        with suppress(Unreachable):  # then it is done another time
            while not stop() and self._upkeep.step(is_paced=False):
                pass
        rounds.drain()

    def _has_caught_up(self, ends: dict[int, int]) -> bool:
        """Whether all cells have come to the ends of the log, and their outboxes are empty; `ends` are noted once.

        Where something is left to do, the next round does it: reading, or flushing the outboxes.
        """
        rounds = self._process_events
        cells = rounds.ownership.cells
        newcomers = cells.keys() - ends.keys()
        if newcomers:
            with suppress(Unreachable):
                ends.update((number, end) for number, (_, end) in self._log.bounds(list(newcomers)).items())
            return False
        if not cells or any(rounds.consumed_position(cell) < ends[number] for number, cell in cells.items()):
            return False
        if any(cell.unmerged or cell.pending_emission for cell in cells.values()):
            rounds.schedule.flush_next()
            return False
        if rounds.has_appended():
            ends.clear()  # the log has a new end
            return False
        return True

    def _check_assignment(self, began_ms: int) -> None:
        if not self._process_events.ownership.assigned and self._clock.now_ms() - began_ms > ASSIGNMENT_WAIT_MS:
            raise UnrecoverableState(
                f"no partition came in {ASSIGNMENT_WAIT_MS // 1000} s: other workers have them all, and catch up"
            )
