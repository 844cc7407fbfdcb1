"""What goes into a round's log, and where its last records are."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from random import Random

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.event_log import PartitionOwner

SIGNS_IN = 0.2
"""How often a visitor signs in before an event of theirs."""


class Follower(PartitionOwner):
    """Reads the log beside the workers, to know where its last records are."""

    def __init__(self, pipeline: Pipeline, partitions: int) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._log = pipeline.container.log()
        self._ends: dict[int, int] = {}
        self._log.subscribe(self)

    def gained(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Read from where it was."""
        return {number: self._ends.setdefault(number, 0) for number in partitions}

    def lost(self, partitions: Collection[int]) -> None:
        """Nothing is held."""

    def ends(self) -> Mapping[int, int] | None:
        """Read on; tell where the last records are once that is known of all partitions."""
        bounds = self._log.bounds(range(self._partitions))
        while records := self._log.poll(1_000, 0.02):
            self._ends.update((record.partition, record.position + 1) for record in records)
        is_read = all(
            max(self._log.read_to(number), self._ends.get(number, 0)) >= end for number, (_, end) in bounds.items()
        )
        return dict(self._ends) if is_read and len(self._ends) == self._partitions else None

    def close(self) -> None:
        """Leave."""
        self._pipeline.close()


def with_sign_ins(
    events: Iterable[Mapping[str, object]], customers: int, dice: Random
) -> Iterator[Mapping[str, object]]:
    """The same, but now and then a visitor signs in, and goes on without saying who they are."""
    for number, event in enumerate(events):
        session, at_ms = event.get("session_id"), event.get("timestamp")
        if session is not None and "user_id" not in event and isinstance(at_ms, int) and dice.random() < SIGNS_IN:
            who = {"user_id": f"customer-{dice.randrange(customers):04d}", "session_id": session}
            yield {"event_id": f"login-{number}", "event_type": "login", **who, "timestamp": at_ms}
        yield event
