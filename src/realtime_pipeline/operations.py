"""Operations: the part of a `Pipeline` for operators: dead letters, traces, delivery, backups, rebuilds, erasure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike, fspath
from typing import Literal

from realtime_pipeline.application.maintenance.forget_customer import Forgetting, Receipt
from realtime_pipeline.application.maintenance.handle_dead_letters import Replay
from realtime_pipeline.application.maintenance.selection import (
    check_is_everything,
    check_is_selective,
    checked_selection,
)
from realtime_pipeline.application.ports.backups import Backup
from realtime_pipeline.application.ports.sink import Sink
from realtime_pipeline.application.processing.output_positions import InDoubt
from realtime_pipeline.application.serving.request_checks import checked_customer_id
from realtime_pipeline.composition.container import Container
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterState
from realtime_pipeline.domain.streams.traces import Trace
from realtime_pipeline.infrastructure.codecs.dead_letters import encode_letter
from realtime_pipeline.infrastructure.system.background_worker import BackgroundWorker


class Operations:
    """The part of a `Pipeline` for operators."""

    container: Container
    _background: BackgroundWorker

    @property
    def _checked_container(self) -> Container:
        """The container, checked by every call.

        Raises:
            ProcessingFailed: the thread of `processing` has failed.
            Unavailable: this pipeline was used before the process was forked.
        """
        self._background.check()
        return self.container

    def dead_letters(
        self,
        limit: int = 20,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        state: str | None = LetterState.OPEN,
    ) -> Sequence[Letter]:
        """List dead letters: records that no event could be made of, each with its id, reason, origin and bytes.

        Args:
            limit: the length of the list, at least 1.
            reason: only letters with this code (`"not_json"`).
            since: only letters whose records the log took in at this time or later; UTC without a time zone.
            until: only letters whose records the log took in before this time; UTC without a time zone.
            state: only letters in this state: `"open"`, `"replayed"` or `"resolved"`; None for all.

        Returns:
            The first `limit` letters, in the order in which they are stored.

        Raises:
            ValueError: `limit` is less than 1, or there is no such state.
            TypeError: `limit` is no whole number, or a time is no datetime.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        selection = checked_selection(None, reason, since, until, limit, state)
        return list(self._checked_container.handle_dead_letters().select(selection))

    def dead_letter(self, letter_id: str) -> Letter:
        """Read a dead letter in any state; the newest, if the id has several.

        Args:
            letter_id: partition and position of the record (`"3-1417"`).

        Returns:
            The letter.

        Raises:
            UnknownLetter: no dead letter has that id.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        found = self._checked_container.handle_dead_letters().find([letter_id])
        return max(found, key=lambda letter: letter.record.appended_at_ms)

    def export_dead_letters(
        self,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[bytes]:
        """Write open dead letters as lines of JSON, to be repaired and replayed; for the arguments see `dead_letters`.

        Returns:
            An iterator of lines, without line ends; it reads the letters as it goes.

        Raises:
            ValueError: `limit` is less than 1.
            TypeError: `limit` is no whole number, or a time is no datetime.
            Unavailable: the letters cannot be read.
            ProcessingFailed: the thread of `processing` has failed.
        """
        selection = checked_selection(None, reason, since, until, limit)
        return map(encode_letter, self._checked_container.handle_dead_letters().select(selection))

    def replay_dead_letters(
        self,
        ids: Collection[str] | None = None,
        repairs: Mapping[str, Mapping[str, object]] | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Replay:
        """Publish open dead letters again and mark them as replayed; a letter is published once, however often this is
        called. Letters that cannot be published stay open.

        Args:
            ids: only letters of these ids (an empty list selects none); None for all.
            repairs: by id, the event to publish in place of the letter; replays only these, without other conditions.
            reason: only letters with this code (`"not_json"`).
            since: only letters whose records the log took in at this time or later; UTC without a time zone.
            until: only letters whose records the log took in before this time; UTC without a time zone.
            limit: publishes at most so many, at least 1; None for all.

        Returns:
            How many letters were published, handled before, and refused; and the reasons of the first 100 refusals.

        Raises:
            UnknownLetter: an id in `ids` has no letter; nothing was published.
            InvalidEvents: JSON cannot hold a repair; nothing was published.
            ValueError: `limit` is less than 1, or `repairs` come with another condition.
            TypeError: `limit` is no whole number, `ids` is a text, or a time is no datetime.
            Unavailable: the log or the store does not respond; it is safe to call this again.
            ProcessingFailed: the thread of `processing` has failed.
        """
        selection = checked_selection(ids, reason, since, until, limit)
        handle = self._checked_container.handle_dead_letters()
        if repairs is not None:
            check_is_everything(selection)
            return handle.replay_documents(repairs)
        return handle.replay(selection)

    def resolve_dead_letters(
        self,
        ids: Collection[str] | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        note: str = "",
    ) -> int:
        """Mark open dead letters as resolved: nothing more is to be done. At least one of `ids`, `reason`, `since` and
        `until` is required; for these see `replay_dead_letters`.

        Args:
            limit: marks at most so many, at least 1; None for all.
            note: the reason, for people; at most 1,000 characters.

        Returns:
            How many letters were marked.

        Raises:
            UnknownLetter: an id has no letter; nothing was marked.
            ValueError: there is no condition, the note is too long or cannot be written as UTF-8, or `limit` is less
                than 1.
            TypeError: `limit` is no whole number, `ids` is a text, or a time is no datetime.
            Unavailable: the store does not respond; it is safe to call this again.
            ProcessingFailed: the thread of `processing` has failed.
        """
        selection = checked_selection(ids, reason, since, until, limit)
        check_is_selective(selection)
        return self._checked_container.handle_dead_letters().resolve(selection, note)

    def trace(
        self, event_id: str, customer_id: str | None = None, on_progress: Callable[[int], object] = lambda _: None
    ) -> Trace:
        """Find all copies of an event in the log: their positions, their classes, and what each changed.

        It reads the log up to the ends that it has when the call begins, and folds the customers of the copies again,
        with the present settings.

        Args:
            event_id: the event's id.
            customer_id: reads only the partitions of this customer, and of the visitors whom their profile knows (not
                of visitors who signed in before the customer was erased); None for all partitions.
            on_progress: called every 1,000 records with how many have been read.

        Returns:
            The copies, at most 1,000, by partition and position.

        Raises:
            UnknownCustomer: no customer can have that id.
            Unavailable: the log or the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        checked_id = None if customer_id is None else checked_customer_id(customer_id)
        return self._checked_container.trace_event()(str(event_id), checked_id, on_progress)

    def deliver(
        self, sink: Sink, on_progress: Callable[[int], object] = lambda _: None, skip_lost: bool = False
    ) -> int:
        """Deliver all events that were published so far to a sink, each once; a worker may be running or not.

        The sink says up to which positions it has the log: so the call may be repeated after any failure.

        Args:
            sink: where to, as `FileSink("exports")`.
            on_progress: called after each batch with the number of events that this call has delivered.
            skip_lost: pass over what the log has deleted before it was delivered.

        Returns:
            How many events this call has delivered.

        Raises:
            UnrecoverableState: the log does not have the records to deliver next, or what the sink has stored is
                damaged.
            WrongLog: the sink has the events of another log.
            Unavailable: the log or the sink does not answer.
            TypeError: `sink` is no `Sink`.
            ProcessingFailed: the thread of `processing` has failed.
        """
        if not isinstance(sink, Sink):
            raise TypeError(f"sink is a Sink, as FileSink('exports'), not a {type(sink).__name__}")
        return self._checked_container.run_sink().catch_up(sink, on_progress, skip_lost=skip_lost)

    def rebuild(self) -> int:
        """Reset the store, so that `process` or a worker builds it again from the log. No worker may be running.

        The store is emptied; or, if `log_retention` has deleted the oldest records of the log, set to its snapshot.

        Returns:
            The number of records to process again.

        Raises:
            UnrecoverableState: workers are running, or the log no longer has all records and no snapshot has their
                effects. Nothing was erased.
            WrongLog: the store was built from another log.
            Unavailable: the log or the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            return self._checked_container.rebuild_store()()

    def backup(self, file: str | PathLike[str]) -> Backup:
        """Copy the SQLite file, consistent and checked, while workers, publishers and readers go on.

        The copy is a pipeline of its own, whose log and store end where those of this one ended when the call began.

        Args:
            file: the copy; it must not exist yet.

        Returns:
            The copy's size in bytes, and how many records and customers it has.

        Raises:
            Unavailable: `file` exists or cannot be written, the copy is damaged, or the log or the store is not in
                SQLite or cannot be opened.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.backups().write(fspath(file))

    def restore_outputs(self, in_doubt: Literal["again", "skip"]) -> Mapping[int, int]:
        """Write the positions up to which outputs were emitted to Kafka, if the group's offsets were deleted or have
        expired and a worker cannot tell them. No worker may be running.

        Args:
            in_doubt: emits outputs that may have been emitted `"again"`, or `"skip"`s them.

        Returns:
            The positions written, by partition; empty if all were known.

        Raises:
            UnrecoverableState: workers are running; nothing was written.
            WrongLog: the store was built from another log.
            InvalidSettings: the log is not Kafka.
            Unavailable: Kafka or Redis does not respond.
            ValueError: `in_doubt` is something else.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            return self.container.restore_outputs()(InDoubt(in_doubt))

    def forget(self, customer_id: str) -> Forgetting:
        """Publish that a customer is to be erased; the worker erases them when it processes that record.

        Args:
            customer_id: a user id, or `anonymous:SESSION` for a visitor who has not signed in.

        Returns:
            The request, for `receipt`.

        Raises:
            UnknownCustomer: no customer can have that id, or it is a visitor who has signed in: forget the customer.
            Unavailable: the store does not respond, or the log did not take the record.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.forget_customer()(checked_customer_id(customer_id))

    def receipt(self, forgetting: Forgetting) -> Receipt:
        """Read how far the erasure of a customer has come, and look in every store for what is left of them.

        Args:
            forgetting: the request, as `forget` returned it.

        Returns:
            The progress, how much is left in each store, and what stays there.

        Raises:
            Unavailable: the log or a store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.forget_customer().receipt(forgetting)
