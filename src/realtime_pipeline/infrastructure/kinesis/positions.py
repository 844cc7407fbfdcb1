"""Positions in a shard of Kinesis, and whether the stream still has what is behind them."""

from typing import Final

import attrs

from realtime_pipeline.application.errors import Damaged, UnrecoverableState

_ENDED: Final = "ended"
_HOUR_MS: Final = 3_600_000


@attrs.frozen
class ShardPosition:
    """The last record of a shard that was read, and the time up to which all records were read.

    `sequence_number` is "" before the first record. Kinesis does not report that it has deleted records, so the time
    tells: what came later than its retention allows may be lost.
    """

    sequence_number: str = ""
    read_to_ms: int = 0
    is_ended: bool = False

    def encode(self) -> str:
        """Return the position as text."""
        return f"{_ENDED if self.is_ended else self.sequence_number}@{self.read_to_ms}"

    @classmethod
    def decode(cls, shard: str, position: str) -> "ShardPosition":
        """Read a position from text.

        Raises:
            Damaged: no release wrote it.
        """
        number, separator, read_to_ms = position.rpartition("@")
        if not separator or not read_to_ms.isdecimal() or not (number.isdecimal() or number in {"", _ENDED}):
            raise Damaged(f"no release wrote the position {position} of {shard}")
        is_ended = number == _ENDED
        return cls("" if is_ended else number, int(read_to_ms), is_ended)

    def check(self, stream: str, shard: str, retention_ms: int, now_ms: int) -> None:
        """Check that what came after this position is not deleted yet.

        Raises:
            UnrecoverableState: records may be deleted.
        """
        if self.read_to_ms and not self.is_ended and now_ms - self.read_to_ms > retention_ms:
            raise UnrecoverableState(
                f"the Kinesis stream {stream}, {shard}, was read to {(now_ms - self.read_to_ms) // _HOUR_MS} hours ago "
                f"and keeps records for {retention_ms // _HOUR_MS}: what came since may be lost; skip_lost = true goes "
                "on with what is there"
            )
