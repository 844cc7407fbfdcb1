"""TraceEvent: find all copies of an event in the log, and what each changed.

Nothing is stored for this: the effect of a record is a function of the log. The trace folds its customer again, from
the beginning of the partition to the record.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import attrs

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.dead_letters import DeadLetters
from realtime_pipeline.application.ports.decoding import FindEventId
from realtime_pipeline.application.ports.event_log import EventLog
from realtime_pipeline.application.ports.log_reader import LogReader
from realtime_pipeline.application.processing.fold_records import OF_CUSTOMERS, FoldRecords
from realtime_pipeline.application.routing import PARTITIONERS
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.shop.events import CustomerId, Event, routing_key
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterKey
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.records import Decoded, Ignored, Record, Rejected
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.traces import Change, Copy, Totals, Trace, change_of, copy_of
from realtime_pipeline.domain.streams.watermark import Watermark

COPIES_MAX: Final = 1_000
PROGRESS_EVERY: Final = 1_000

OnProgress = Callable[[int], object]
"""Called now and then with how many records have been read."""


class TraceEvent:
    """Reads the log beside its workers, a bounded number of records at a time.

    `log_name` is the file or topic of the log; `name_of` gives the id of an event without one, by partition and
    position.
    """

    def __init__(
        self,
        log: EventLog,
        reader: LogReader,
        customers: CustomerQueries,
        letters: DeadLetters,
        fold_records: FoldRecords,
        find_event_id: FindEventId,
        name_of: Callable[[int, int], str],
        settings: FoldSettings,
        log_name: str,
    ) -> None:
        self._log = log
        self._reader = reader
        self._customers = customers
        self._letters = letters
        self._fold_records = fold_records
        self._find_event_id = find_event_id
        self._name_of = name_of
        self._settings = settings
        self._log_name = log_name

    def __call__(
        self, event_id: str, customer_id: CustomerId | None = None, on_progress: OnProgress = lambda _: None
    ) -> Trace:
        """Trace an event, up to the ends that the log has when the call begins.

        Args:
            event_id: the event's id.
            customer_id: reads only the partitions of this customer, and of the visitors who signed in as them.
            on_progress: called now and then with how many records have been read.
        """
        identity = self._log.identity
        partitions: Collection[int] = range(identity.partitions)
        if customer_id is not None:
            find = PARTITIONERS[identity.partitioner]
            ids = self._ids_of(customer_id)
            partitions = {find(routing_key(id_).encode(), identity.partitions) for id_ in ids}
        bounds = dict(self._log.bounds(partitions))
        cell_positions = self._customers.positions(partitions)
        counter = _Counter(on_progress)
        found, more = self._search(event_id, bounds, counter)
        letters, gone = self._letters_of(event_id, set(partitions), found)
        copies = [
            *self._copies(found, letters, bounds, cell_positions, counter),
            *(attrs.evolve(_of_letter(letter, None), in_log=False) for letter in gone),
        ]
        counter.end()
        copies.sort(key=lambda copy: (copy.partition, copy.position))
        return Trace(event_id, self._log_name, tuple(copies), bounds, more)

    def _ids_of(self, customer_id: CustomerId) -> list[CustomerId]:
        """Return the ids of a customer, of their visitors, and of the customer that the id is an alias of."""
        customer = self._customers.read_customer(customer_id)
        if customer is None:
            return [customer_id]
        aliases = customer.aliases
        return [customer_id, *aliases.visitors, *([] if aliases.alias_of is None else [aliases.alias_of])]

    def _search(
        self, event_id: str, bounds: Mapping[int, tuple[int, int]], counter: "_Counter"
    ) -> tuple[dict[int, list[tuple[Record, Decoded]]], bool]:
        """Return at most `COPIES_MAX` records of an event by partition, and whether there are more."""
        needle, count = _Needle(event_id), 0
        found: dict[int, list[tuple[Record, Decoded]]] = {}
        for partition, (begin, end) in sorted(bounds.items()):
            for record in counter.counted(self._reader.read(partition, begin, end)):
                is_named = event_id == self._name_of(record.partition, record.position)
                if (is_named or needle.may_be_in(record.value)) and self._is_of(record, event_id, is_named):
                    if count == COPIES_MAX:
                        return found, True
                    count += 1
                    found.setdefault(partition, []).append((record, self._fold_records.routed(record)))
        return found, False

    def _is_of(self, record: Record, event_id: str, is_named: bool) -> bool:
        """Whether a record has an event id: it contains it, or it contains none and has it by its position."""
        contained = self._find_event_id(record.value)
        return contained == event_id or (contained is None and is_named)

    def _letters_of(
        self, event_id: str, partitions: Collection[int], found: Mapping[int, list[tuple[Record, Decoded]]]
    ) -> tuple[dict[LetterKey, Letter], list[Letter]]:
        """Return the dead letters of the copies found, and those of copies that the log no longer has."""
        needle = _Needle(event_id)
        keys = {
            LetterKey(record.partition, record.position, record.appended_at_ms)
            for pairs in found.values()
            for record, _ in pairs
        }
        found_letters: dict[LetterKey, Letter] = {}
        gone: list[Letter] = []
        for letter in self._letters.letters(partitions):
            record = letter.record
            if letter.key in keys:
                found_letters[letter.key] = letter
            elif len(gone) < COPIES_MAX:
                is_named = event_id == self._name_of(record.partition, record.position)
                if (is_named or needle.may_be_in(record.value)) and self._is_of(record, event_id, is_named):
                    gone.append(letter)
        return found_letters, gone

    def _copies(
        self,
        found: Mapping[int, list[tuple[Record, Decoded]]],
        letters: Mapping[LetterKey, Letter],
        bounds: Mapping[int, tuple[int, int]],
        cell_positions: Mapping[int, int],
        counter: "_Counter",
    ) -> Iterator[Copy]:
        for partition, pairs in found.items():
            begin, to_fold = bounds[partition][0], dict[int, Event | ProfileMerged]()
            for record, decoded in pairs:
                letter = letters.get(LetterKey(record.partition, record.position, record.appended_at_ms))
                if letter is not None:
                    yield _of_letter(letter, decoded)
                elif record.position >= cell_positions[partition]:
                    yield copy_of(record, decoded, None)
                elif isinstance(decoded, OF_CUSTOMERS):
                    to_fold[record.position] = decoded
                elif isinstance(decoded, Rejected):
                    copy = copy_of(record, decoded, RecordClass.DEAD_LETTER, decoded.reason)
                    yield attrs.evolve(copy, customer_id=decoded.customer_id)
                else:
                    reason = f"type {decoded.event_type}" if isinstance(decoded, Ignored) else None
                    yield copy_of(record, decoded, RecordClass.IGNORED, reason)
            if to_fold:
                yield from self._folded(partition, begin, to_fold, counter)

    def _folded(
        self, partition: int, begin: int, copies: Mapping[int, Event | ProfileMerged], counter: "_Counter"
    ) -> Iterator[Copy]:
        """Fold the customers of some copies again, from the beginning of the log, and note what each copy changed."""
        doubt = ""
        if begin > 0:
            doubt = f"the log begins at position {begin} of partition {partition}: what came before is not known"
        owners = {event.customer_id for event in copies.values() if event.customer_id is not None}
        customers = {customer_id: Customer(customer_id) for customer_id in owners}
        needles = [_Needle(routing_key(customer_id)) for customer_id in owners]
        for record in counter.counted(self._reader.read(partition, begin, max(copies) + 1)):
            is_copy = record.position in copies
            if not is_copy and not any(needle.may_be_in(record.value) for needle in needles):
                continue
            decoded = self._fold_records.routed(record)
            if not isinstance(decoded, OF_CUSTOMERS) or not (is_copy or decoded.customer_id in owners):
                continue
            customer = None if decoded.customer_id is None else customers[decoded.customer_id]
            before = Totals.of(customer)
            effects, _ = fold([(record, decoded)], customers, Watermark(), self._settings)
            if is_copy:
                (record_class,) = effects.counts
                reason = effects.dead_letters[0].reason if effects.dead_letters else None
                change: Change | None = None
                if record_class in (RecordClass.APPLIED, RecordClass.FORWARDED):
                    change = change_of(before, Totals.of(customer), effects, decoded)
                copy = copy_of(record, decoded, record_class, reason)
                yield attrs.evolve(copy, change=change, doubt="" if customer is None else doubt)


class _Needle:
    """A search for an id in JSON, which rules out most records quickly."""

    def __init__(self, id_: str) -> None:
        self._id = id_.encode(errors="surrogatepass")
        self._is_number = id_.removeprefix("-").isdecimal()

    def may_be_in(self, value: bytes) -> bool:
        """Whether the id may be in a value: unescaped, escaped, or as a number, which can be written in many ways."""
        return self._is_number or self._id in value or b"\\" in value


class _Counter:
    """Reports the number of records that are read."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._read = 0

    def counted(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield the records, counting them."""
        for record in records:
            self._read += 1
            if self._read % PROGRESS_EVERY == 0:
                self._on_progress(self._read)
            yield record

    def end(self) -> None:
        """Report the last number."""
        self._on_progress(self._read)


def _of_letter(letter: Letter, decoded: Decoded | None) -> Copy:
    copy = copy_of(letter.record, decoded, RecordClass.DEAD_LETTER, letter.reason)
    return attrs.evolve(copy, customer_id=letter.customer_id, letter=letter.state)
