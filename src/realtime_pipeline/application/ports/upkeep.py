"""Upkeep: what keeps log and store from growing without bound."""

from abc import ABC, abstractmethod


class Upkeep(ABC):
    """Maintenance that the worker does between its rounds, in bounded pieces: snapshots, retention."""

    @abstractmethod
    def step(self, is_paced: bool = True) -> bool:
        """Do a piece of what is due; return whether more is due now. Called after every round.

        A paced step leaves most of the time to the rounds; without pacing, steps are called until nothing is due.

        Raises:
            Unreachable: log or store do not answer; what was done so far is kept.
        """

    @abstractmethod
    def end(self) -> None:
        """Discard what is not complete, when the worker ends or drops its memory."""


class NoUpkeep(Upkeep):
    """For logs and stores with a retention of their own."""

    def step(self, is_paced: bool = True) -> bool:
        """Nothing is ever due."""
        return False

    def end(self) -> None:
        """There is nothing to discard."""
