"""Compare the late events of a pipeline's outputs with those that the oracle expects."""

from collections.abc import Iterator

from harness.oracle.expected import Expected
from harness.oracle.record_classes import checksum_of
from harness.support.diff import CHUNK, Line, diff
from realtime_pipeline.application.ports.outputs import Outputs


def compare_late_events(expected: Expected, outputs: Outputs) -> Iterator[Line]:
    """Yield a line for each late event that differs, by partition and position."""
    late_events = outputs.late_events(len(expected.late_events) + len(expected.late_events_erased) + CHUNK)
    positions = [late.record[:2] for late in late_events]
    held = {late.record[:2]: dict(late.missed) for late in late_events}
    if not outputs.can_retract:  # a forgotten customer's late event is there if it was emitted before the forgetting
        erased = expected.late_events_erased
        held = {position: missed for position, missed in held.items() if erased.get(position) != missed}
    yield from diff("late event", held, expected.late_events)
    for late in late_events:
        position = late.record[:2]
        if expected.late_event_checksums.get(position, known := checksum_of(late.record)) != known:
            yield f"late event {position}: its record is not equal to the one in the log"
    if positions != sorted(set(positions)):
        yield "late events are not each there once, by partition and position"
