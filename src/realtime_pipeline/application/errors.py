"""Every error of the program, in one table. Each message is one line that says what to do.

PipelineError
 ├─ InvalidSettings        a setting has a wrong name or value
 ├─ InvalidEvents          an event that a caller publishes is not valid
 ├─ UnknownCustomer        no event of that customer has been processed, or no customer can have that id
 ├─ UnknownProduct         no product can have that id
 ├─ UnknownWindow          no window has that name
 ├─ UnknownLetter          no dead letter has that id
 ├─ UnknownLateEvent       no late event has that id
 ├─ UnknownEvent           no record has that event id
 ├─ WrongLog               the store was built from another log
 ├─ UnrecoverableState     going on would lose or double something: an operator must decide
 │   ├─ NewerRelease       a newer release wrote a value that this one cannot read: upgrade this program
 │   └─ Damaged            a stored value was written by no release
 ├─ ProcessingFailed       the thread that processes events in the background has failed
 └─ Unavailable            a log or a store cannot be opened or does not respond
RecoverableError (between a worker and its stores; the worker claims the cell again and goes on)
 ├─ Fenced                 another owner has claimed the cell since
 ├─ PositionMismatch       the position of a cell or of a view is not the one at which the write begins
 └─ Unreachable            (also Unavailable) no response: whether the write was done is unknown
"""

from collections.abc import Mapping


class PipelineError(Exception):
    """An error that a person must act on; the message says how."""


class InvalidSettings(PipelineError):
    """A setting has a wrong name or value."""


class InvalidEvents(PipelineError):
    """An event is not valid. None of the call's events was published."""


class UnknownCustomer(PipelineError):
    """No event of that customer has been processed, the customer was erased, or no customer can have that id."""


class UnknownProduct(PipelineError):
    """No product can have that id."""


class UnknownWindow(PipelineError):
    """No windowed aggregate has that name."""


class UnknownLetter(PipelineError):
    """No dead letter has that id."""


class UnknownLateEvent(PipelineError):
    """No late event has that id."""


class UnknownEvent(PipelineError):
    """No record in the log has that event id."""


class WrongLog(PipelineError):
    """The store was built from another log, or from one with another number of partitions."""


class UnrecoverableState(PipelineError):
    """Going on would lose or double something: an operator must decide."""


class NewerRelease(UnrecoverableState):
    """A newer release wrote a value that this one cannot read. Nothing was changed: upgrade this program."""


class Damaged(UnrecoverableState):
    """A stored value was written by no release, or is truncated."""


class ProcessingFailed(PipelineError):
    """The thread that processes events in the background has failed; `__cause__` is its error."""


class Unavailable(PipelineError):
    """A log or a store cannot be opened or does not respond."""


class RecoverableError(Exception):
    """A store refused a write, or did not respond. The worker claims its cell again and goes on."""


class Fenced(RecoverableError):
    """The write does not have the epoch, position and number of the cell's owner."""


class PositionMismatch(RecoverableError):
    """A cell or view has not the position at which the write begins; `positions` are those it has, by partition."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        actual = ", ".join(f"{position} of partition {partition}" for partition, position in positions.items())
        super().__init__(f"the store or a view has another position than expected: {actual}")
        self.positions = dict(positions)


class Unreachable(RecoverableError, Unavailable):
    """A store or a log did not respond, or is moving or failing over; whether the write was done is unknown.

    A worker waits and claims its cell again; to other callers it is `Unavailable`.
    """
