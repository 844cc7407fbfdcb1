"""Backups: copies of log, store and outputs, made while others read and write them."""

from abc import ABC, abstractmethod

import attrs

from realtime_pipeline.application.errors import Unavailable


@attrs.frozen
class Backup:
    """A copy that was written and verified.

    It contains the log up to the moment when the backup began, and the store exactly as it was then. `size` is in
    bytes; `records` and `customers` are the numbers of records in the log and of customers in the store.
    """

    file: str
    size: int
    records: int
    customers: int

    def as_dict(self) -> dict[str, object]:
        """This as JSON takes it.

        Example:
            {"file": "copy.db", "size": 77824, "records": 6, "customers": 2}
        """
        return {"file": self.file, "size": self.size, "records": self.records, "customers": self.customers}


class Backups(ABC):
    """Writes backups. Workers, publishers and readers go on meanwhile, and do not wait for it."""

    @abstractmethod
    def write(self, file: str) -> Backup:
        """Write a backup to a file that does not exist yet; return when it is complete, verified and on the disk.

        Raises:
            Unavailable: the file exists already, cannot be written, or the copy is damaged; the file then does not
                exist, or is as it was.
        """


class NoBackups(Backups):
    """For logs and stores outside of SQLite, which have backups of their own."""

    def write(self, file: str) -> Backup:
        """Refuse."""
        raise Unavailable(
            f"{file}: a backup is a copy of one SQLite file, and needs log sqlite and store sqlite; back up Kafka and "
            "Redis by their own means"
        )
