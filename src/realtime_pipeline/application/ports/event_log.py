"""The log of events, as the worker reads it."""

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
        """How a store writes down which log it was built from."""
        return f"{self.log_id}/{self.partitions}/{self.partitioner}"

    def way_out(self, built_from: str) -> str:
        """What else to do where a store was built from another log, written as by `str`; nothing mostly.

        Where the same log has more partitions now, customers whose key belongs elsewhere since have older records in
        partitions that are not theirs.
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
    """Who is told of partitions that come and go. Called from within `EventLog.poll`, never beside it."""

    @abstractmethod
    def on_assigned(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Take partitions on; answer with the position from which each is to be read.

        One that is left out is held, and not read before `EventLog.seek` names it. Never raises a `RecoverableError`.
        """

    @abstractmethod
    def on_revoked(self, partitions: Collection[int]) -> None:
        """Drop everything held for partitions; somebody else may have them already."""


class EventLog(ABC):
    """An ordered, durable, partitioned log, read by one owner a partition.

    A position is that of the *next* record to read. Positions of a partition grow, not necessarily by one.
    """

    @property
    @abstractmethod
    def identity(self) -> LogIdentity:
        """Which log this is; fixed when the log is made."""

    @abstractmethod
    def subscribe(self, listener: RebalanceListener) -> None:
        """Ask for partitions. They come, and go, during `poll`."""

    @abstractmethod
    def poll(self, limit: int, timeout_s: float) -> Sequence[Record]:
        """Read at most `limit` records of the partitions held, each partition's in order.

        Waits up to `timeout_s` for the first one, never for more.

        Raises:
            UnrecoverableState: another process reads this log in this one's place, or a position lies outside the log.
        """

    @abstractmethod
    def verify_identity(self) -> None:
        """See that what was polled last is of this log, and not of another that has come into its place.

        To be called before anything that lasts is made of it. A log that has to ask somebody asks when it is polled,
        and hears the answer here; as long as it is not heard, it may be asked for again.

        Raises:
            WrongLog: it is of another.
            UnrecoverableState: the log is gone.
            Unreachable: it does not answer.
        """

    @abstractmethod
    def consumed_position(self, partition: int) -> int:
        """Up to where a partition was read, since its position was last named: further than the last record returned,
        where what lies there is no record, as the marks that end transactions. May lag behind `poll`.
        """

    @abstractmethod
    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from other positions."""

    @abstractmethod
    def pause(self, partitions: Collection[int]) -> None:
        """Return no more records of partitions, and keep them: `poll` must be called on and on."""

    @abstractmethod
    def resume(self, partitions: Collection[int]) -> None:
        """Return records of partitions again, from where they were paused."""

    @abstractmethod
    def workers(self) -> int:
        """How many other processes read this log as its workers; 0 where a second one takes over from the first.

        Raises:
            Unavailable: the log does not answer.
        """

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The position after the last record of each partition: where its cell stands once all is folded. At most the
        end that `bounds` says, behind whose last record there may be what is none.

        Raises:
            Unreachable: the log does not answer.
        """
        return {partition: end for partition, (_, end) in self.bounds(partitions).items()}

    @abstractmethod
    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """The first position still held, and the one after the last, of each partition.

        Raises:
            Unreachable: the log does not answer.
        """

    def check_whole(self, partitions: Collection[int]) -> None:  # noqa: B027 - most logs cannot tell
        """See that nobody has deleted records amid the log, where its positions have no gaps.

        Raises:
            UnrecoverableState: records are gone.
        """
