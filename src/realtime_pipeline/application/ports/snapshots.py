"""Snapshots: copies of cells and views, from which a store is rebuilt where the log has lost its beginning."""

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Snapshots(ABC):
    """Stores the newest complete snapshot of a store, as of a position that the log still has.

    `RebuildStore` calls it, while no worker runs; the worker's `Upkeep` takes the snapshots.
    """

    @abstractmethod
    def positions(self) -> Mapping[int, int]:
        """The positions of the cells in the newest complete snapshot; empty where there is none."""

    @abstractmethod
    def restore(self) -> None:
        """Restore cells and views into a store that was erased, within `CellStore.transaction`.

        A snapshot that is being taken is of the erased store, and is discarded.
        """

    @abstractmethod
    def erase(self) -> None:
        """Delete all snapshots, within `CellStore.transaction`; a snapshot that is being taken is discarded."""

    @abstractmethod
    def forgotten(self) -> int:
        """How many forgotten customers, of all that were ever forgotten, a snapshot may still contain."""


class NoSnapshots(Snapshots):
    """For stores of which no snapshots are taken."""

    def positions(self) -> Mapping[int, int]:
        """There is no snapshot."""
        return {}

    def restore(self) -> None:
        """There is nothing to restore."""

    def erase(self) -> None:
        """There is nothing to delete."""

    def forgotten(self) -> int:
        """No snapshot contains anybody."""
        return 0
