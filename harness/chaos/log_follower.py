"""Reads a log beside the workers, to know where its last records are."""

from collections.abc import Collection, Mapping

from realtime_pipeline import Pipeline
from realtime_pipeline.application.ports.event_log import RebalanceListener


class LogFollower(RebalanceListener):
    """Consumes the log in a group of its own, and remembers the end position of each partition's last record.

    The end offset of a partition is no replacement: it also counts markers of transactions.
    """

    def __init__(self, pipeline: Pipeline, partitions: int) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._log = pipeline.container.log()
        self._ends: dict[int, int] = {}
        self._log.subscribe(self)

    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Continue behind the last record that was read."""
        return {partition: self._ends.setdefault(partition, 0) for partition in partitions}

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Do nothing: the follower holds nothing for a partition."""

    def ends(self) -> Mapping[int, int] | None:
        """Read on, and return the position behind the last record of each partition; None until all have been read."""
        bounds = self._log.bounds(range(self._partitions))
        while records := self._log.poll(1_000, 0.02):
            self._ends.update((record.partition, record.position + 1) for record in records)
        is_read = all(
            max(self._log.consumed_position(partition), self._ends.get(partition, 0)) >= end
            for partition, (_, end) in bounds.items()
        )
        return dict(self._ends) if is_read and len(self._ends) == self._partitions else None

    def close(self) -> None:
        """Leave the consumer group and close the connections."""
        self._pipeline.close()
