"""What goes into a round's log, and where its last records are."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from random import Random

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.event_log import PartitionOwner

SIGNS_IN = 0.2
"""How often a visitor signs in before an event of theirs."""
IS_SHOWN = 0.05
"""How often somebody is shown a list after an event of theirs."""
IS_FORGOTTEN, IS_THEIRS = 0.005, 0.5
"""How often somebody is to be forgotten after an event, and how often that is whose event it was."""


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


def with_all_kinds(
    events: Iterable[Mapping[str, object]], customers: int, products: Sequence[str], dice: Random
) -> Iterator[Mapping[str, object]]:
    """The shop's events, and what its customers do not do: visitors sign in, and go on without saying who they are;
    some are shown lists of products; some are to be forgotten, and may come back."""
    for number, event in enumerate(events):
        at_ms = event.get("timestamp")
        named = {name: event[name] for name in ("user_id", "session_id") if name in event}
        if not isinstance(at_ms, int) or not named:
            yield event
            continue
        anyone = {"user_id": f"customer-{dice.randrange(customers):04d}"}
        if "user_id" not in named and dice.random() < SIGNS_IN:
            yield {"event_id": f"login-{number}", "event_type": "login", **named, **anyone, "timestamp": at_ms}
        yield event
        if dice.random() < IS_SHOWN:
            some = dice.sample(products, 3)
            shown = {"event_id": f"list-{number}", "event_type": "exposure", "properties": {"products": some}}
            yield {**shown, **named, "timestamp": at_ms}
        if dice.random() < IS_FORGOTTEN:
            who = named if dice.random() < IS_THEIRS else anyone
            yield {"event_id": f"forget-{number}", "event_type": "forget", **who, "timestamp": at_ms}
