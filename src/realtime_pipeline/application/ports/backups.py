"""Backups: copies of log, store and outputs, made while others read and write them."""

from abc import ABC, abstractmethod

import attrs

from realtime_pipeline.application.errors import Unavailable


@attrs.frozen
class Backup:
    """A copy that was written, checked and put in its place.

    It holds the log's records up to the moment when the backup began, and the store exactly as it was then.
    `size` is in bytes, `records` those that the log holds, `customers` those that the store knows.
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
    """Writes backups. Workers, publishers and readers may be at work meanwhile, and do not wait for it."""

    @abstractmethod
    def write(self, file: str) -> Backup:
        """Write a backup to a file that does not exist yet; return when it is complete, checked and on the disk.

        Raises:
            Unavailable: the file exists already, cannot be written, or the copy is not sound; then there is no such
                file, or it is as it was.
        """


class NoBackups(Backups):
    """For logs and stores that lie elsewhere, and are backed up by the means of what they lie in."""

    def write(self, file: str) -> Backup:
        """Refuse."""
        raise Unavailable(
            f"{file}: a backup is a copy of one SQLite file, and needs log sqlite and store sqlite; back up Kafka and "
            "Redis by their own means"
        )
