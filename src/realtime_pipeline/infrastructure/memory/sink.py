"""A sink in memory."""

from collections.abc import Collection, Mapping
from threading import Lock

from realtime_pipeline.application.errors import PositionMismatch, WrongLog
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink


class MemorySink(Sink):
    """Rows by partition, in the order of their positions. Any number of threads may deliver to it."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Row]] = {}
        self._positions: dict[int, int] = {}
        self._log_id: str | None = None
        self._lock = Lock()

    def bind(self, log_id: str) -> None:
        """Note the log, or compare it."""
        with self._lock:
            if self._log_id not in (None, log_id):
                raise WrongLog(f"the sink has the events of log {self._log_id}, not of {log_id}: use a new sink")
            self._log_id = log_id

    def positions(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The positions so far."""
        with self._lock:
            return {partition: self._positions.get(partition, 0) for partition in partitions}

    def write(self, delivery: Delivery) -> None:
        """Append rows, and advance the position."""
        with self._lock:
            position = self._positions.get(delivery.partition, 0)
            if position != delivery.from_position:
                raise PositionMismatch({delivery.partition: position})
            self.rows.setdefault(delivery.partition, []).extend(delivery.rows)
            self._positions[delivery.partition] = delivery.to_position
