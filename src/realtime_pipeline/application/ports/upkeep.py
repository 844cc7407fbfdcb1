"""Upkeep: what keeps log and store from growing without bound."""

from abc import ABC, abstractmethod


class Upkeep(ABC):
    """Work of the partitions' owner between its rounds, done a bounded piece at a time."""

    @abstractmethod
    def step(self, is_paced: bool = True) -> bool:
        """Do a piece of what is due; return whether more is due at once.

        Paced, it leaves most of the time to other work; else it is gone on with as long as anything is due.

        Raises:
            Unreachable: log or store do not answer; what was done so far stands.
        """

    @abstractmethod
    def end(self) -> None:
        """Give up what is not complete, when the worker ends."""


class NoUpkeep(Upkeep):
    """For logs and stores that see to themselves."""

    def step(self, is_paced: bool = True) -> bool:
        """Nothing is ever due."""
        return False

    def end(self) -> None:
        """Nothing was begun."""
