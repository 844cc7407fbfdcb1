"""A source in memory, for tests of what reads sources."""

from collections.abc import Mapping, Sequence

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord


class MemorySource(Source):
    """Has the JSON objects of a mapping, from parts to lists that may grow; deletes what is acknowledged."""

    def __init__(self, name: str, parts: Mapping[str, list[bytes]]) -> None:
        self.parts = parts
        self.deleted = dict.fromkeys(parts, 0)
        self._name = name
        self._positions: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def open(self, positions: Positions) -> None:
        """Go on from the positions; a part without one begins with its first record."""
        self._positions = {part: int(positions.get(part, 0)) for part in self.parts}
        for part, position in self._positions.items():
            if position < self.deleted[part]:
                raise UnrecoverableState(f"{self._name}: the records of {part} from {position} on are deleted")

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read the next records of the first part that has some; never wait."""
        for part, values in self.parts.items():
            begin = self._positions[part]
            read: Sequence[bytes] = values[begin : begin + records_max]
            if read:
                end = self._positions[part] = begin + len(read)
                records = [
                    SourceRecord(f"{part}-{number}", value, f"{part}:{number}")
                    for number, value in enumerate(read, begin)
                ]
                return SourceBatch(tuple(records), {part: str(end)})
        return None

    def acknowledge(self, positions: Positions) -> None:
        """Delete the records before the positions."""
        self.deleted.update((part, int(position)) for part, position in positions.items())

    def close(self) -> None:
        """Forget the positions."""
        self._positions = {}
