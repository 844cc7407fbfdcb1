"""EventLog: the log of events, as the worker consumes it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

import attrs

from realtime_pipeline.domain.streams.records import Record


@attrs.frozen
class LogIdentity:
    """Which log this is. A log that is deleted and made again has another `log_id` although its name is the same."""

    log_id: str
    partitions: int
    partitioner: str

    def __str__(self) -> str:
        """The form in which a store writes down the log that it was built from."""
        return f"{self.log_id}/{self.partitions}/{self.partitioner}"

    @staticmethod
    def partitions_in(written: str) -> int:
        """The number of partitions in what `str` writes."""
        return int(written.rsplit("/", 2)[1])

    def way_out(self, built_from: str) -> str:
        """What else to do where a store was built from another log (as `str` writes it); mostly an empty text.

        Where the same log has more partitions now, some keys belong to other partitions than their older records.
        """
        log_id, partitions, partitioner = ("", "", *built_from.rsplit("/", 2))[-3:]  # a topic's id may hold slashes
        if (log_id, partitioner) != (self.log_id, self.partitioner) or partitions == str(self.partitions):
            return ""
        return (
            f"; the log had {partitions} partitions and has {self.partitions}: where a customer's key belongs elsewhere"
            " since, older records become dead letters (misrouted) in the new store. When its workers have caught up, "
            "publish those again, however old they are: realtime-pipeline dead-letters replay --reason misrouted"
        )


class RebalanceListener(ABC):
    """Is called when a rebalance assigns or revokes partitions: from within `EventLog.poll`, in the same thread.

    Both methods may block for round trips to the store; the group waits for them meanwhile.
    """

    @abstractmethod
    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Claim partitions; return the position from which each is to be read.

        A partition that is left out stays assigned and paused until `EventLog.seek` names its position. Never raises a
        `RecoverableError`.
        """

    @abstractmethod
    def on_revoked(self, partitions: Collection[int]) -> None:
        """Drop everything in memory of partitions; another worker may own them already."""


class EventLog(ABC):
    """An ordered, durable, partitioned log; each partition is consumed by one worker at a time.

    A position is the offset of the *next* record to read. Positions of a partition grow, not necessarily by one.

    One thread of a worker uses it: `poll` every round, `verify_identity` before the first commit of a round, `seek`
    after a claim, `pause` and `resume` for back-pressure. `poll` blocks up to its time-out, others for a round trip.
    """

    @property
    @abstractmethod
    def identity(self) -> LogIdentity:
        """Which log this is; fixed when the log is created."""

    @abstractmethod
    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the workers of this log. Partitions are assigned and revoked during `poll`."""

    @abstractmethod
    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read at most `limit` records of the assigned partitions, each partition's in order.

        Waits up to `timeout_s` for the first record, never for more.

        Raises:
            UnrecoverableState: another process has taken over from this one, or a position is outside of the log.
            Unreachable: the log does not answer.
        """

    @abstractmethod
    def verify_identity(self) -> None:
        """Verify that the records polled last are of this log, not of another log that was created under its name.

        Must be called before anything durable is made of them. A log that has to ask a server sends the request when it
        is polled, and reads the reply here; until the reply has come, the call may be repeated.

        Raises:
            WrongLog: the records are of another log.
            UnrecoverableState: the log was deleted.
            Unreachable: the log does not answer.
        """

    @abstractmethod
    def consumed_position(self, partition: int) -> int:
        """The position up to which a partition was polled since the last `seek`; 0 where it is not known.

        It is behind the last record returned where only marks of transactions follow. May lag behind `poll`.
        """

    @abstractmethod
    def seek(self, positions: Mapping[int, int]) -> None:
        """Continue reading partitions from other positions."""

    @abstractmethod
    def pause(self, partitions: Collection[int]) -> None:
        """Stop returning records of partitions, which stay assigned as long as `poll` is called."""

    @abstractmethod
    def resume(self, partitions: Collection[int]) -> None:
        """Return records of paused partitions again, from where they were paused."""

    @abstractmethod
    def workers(self) -> int:
        """The number of other processes that consume this log as workers; 0 where a second worker takes over at once.

        Raises:
            Unavailable: the log does not answer.
        """

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The position after the last record of each partition: the position of its cell once all records are folded.

        At most the end that `bounds` gives: behind the last record there may be marks of transactions.

        Raises:
            Unreachable: the log does not answer.
        """
        return {partition: end for partition, (_, end) in self.bounds(partitions).items()}

    @abstractmethod
    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """The first position that each partition still has, and the position after its last entry.

        Raises:
            Unreachable: the log does not answer.
        """

    def check_whole(self, partitions: Collection[int]) -> None:  # noqa: B027 - most logs cannot tell
        """Verify that no records were deleted from the middle of the log, where positions have no gaps.

        Raises:
            UnrecoverableState: records are missing.
        """
