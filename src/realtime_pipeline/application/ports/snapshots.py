"""Snapshots: copies of cells and views, from which a store is built again where the log has lost its beginning."""

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Snapshots(ABC):
    """Keeps the newest complete snapshot of a store, from before what was removed from the log."""

    @abstractmethod
    def positions(self) -> Mapping[int, int]:
        """Where the cells of the newest complete snapshot stand; empty where there is none."""

    @abstractmethod
    def restore(self) -> None:
        """Put cells and views back as they were, into a store that was erased; a part of `CellStore.transaction`.

        One that is being taken is of the store from before, and is given up.
        """

    @abstractmethod
    def erase(self) -> None:
        """Delete all snapshots, a part of `CellStore.transaction`; one that is being taken is given up."""

    @abstractmethod
    def forgotten(self) -> int:
        """How many customers who were forgotten, whoever they are, may be in a snapshot still."""


class NoSnapshots(Snapshots):
    """For stores of which none are taken."""

    def positions(self) -> Mapping[int, int]:
        """There is none."""
        return {}

    def restore(self) -> None:
        """There is nothing to restore."""

    def erase(self) -> None:
        """There is nothing to delete."""

    def forgotten(self) -> int:
        """Nobody is in any."""
        return 0
