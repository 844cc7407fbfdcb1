"""Every error the program names, in one table. Each message is one line that says what to do.

PipelineError
 ├─ InvalidSettings     settings that make no sense
 ├─ InvalidEvents       events handed to a publisher that nothing can be made of
 ├─ UnknownCustomer     nobody of that id has been seen
 ├─ UnknownProduct      no product can have that id
 ├─ UnknownLetter       no dead letter has that id
 ├─ UnknownEvent        no record has that event id
 ├─ WrongLog            the store was built from another log
 ├─ UnrecoverableState             going on would lose or double something: a person must choose the way out
 │   ├─ NewerRelease    a newer release wrote what this one cannot read: this program must be upgraded
 │   └─ Damaged         a stored value is none that any release has written
 ├─ ProcessingFailed    the thread that processes events in the background has failed
 └─ Unavailable         a log or a store cannot be opened or does not answer
Refusals (between the worker and its stores; the worker claims again and goes on)
 ├─ Fenced              another owner has claimed the cell since
 ├─ PositionMismatch          a reader does not stand where the call begins
 └─ Unreachable         (also Unavailable) no answer, or one that leaves open what was done: read before going on
"""

from collections.abc import Mapping


class PipelineError(Exception):
    """Something a person has to see to; the message says what."""


class InvalidSettings(PipelineError):
    """Settings that make no sense."""


class InvalidEvents(PipelineError):
    """Events handed to a publisher that nothing can be made of. None of the call's events was published."""


class UnknownCustomer(PipelineError):
    """Nobody of that id has been seen, or they were forgotten."""


class UnknownProduct(PipelineError):
    """No product can have that id."""


class UnknownLetter(PipelineError):
    """No dead letter has that id."""


class UnknownEvent(PipelineError):
    """No record has that event id, as far as the log reaches back."""


class WrongLog(PipelineError):
    """The store was built from another log, or from one cut into another number of partitions."""


class UnrecoverableState(PipelineError):
    """Going on would lose or double something."""


class NewerRelease(UnrecoverableState):
    """A newer release wrote what this one cannot read. Nothing was changed: upgrade this program, then start it."""


class Damaged(UnrecoverableState):
    """A stored value is none that any release has written, or was cut off."""


class ProcessingFailed(PipelineError):
    """The thread that processes events in the background has failed; `__cause__` is what it failed with."""


class Unavailable(PipelineError):
    """A log or a store cannot be opened or does not answer."""


class RecoverableError(Exception):
    """A store did not do what it was asked to."""


class Fenced(RecoverableError):
    """The write does not carry the epoch, position and number of the cell's owner."""


class PositionMismatch(RecoverableError):
    """A reader does not stand where the write begins; `positions` says where it stands, by partition."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        found = ", ".join(f"{position} of partition {partition}" for partition, position in positions.items())
        super().__init__(f"the store or a reader of it stands elsewhere than was believed, at {found}")
        self.positions = dict(positions)


class Unreachable(RecoverableError, Unavailable):
    """A store or a log did not answer, or is moving or failing over; whether it did what it was asked is open.

    The worker waits and claims again; to everybody else it is as unavailable as anything.
    """
