"""CheckEvents: what a source's records would become, without publishing any."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ingestion.prepare_records import OTHER_TYPES, PrepareRecords
from realtime_pipeline.application.ports.clock import Clock
from realtime_pipeline.application.ports.decoding import Decode, EncodeMessage
from realtime_pipeline.application.ports.source import SourceRecord
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.identity import ProfileMerged
from realtime_pipeline.domain.shop.events import ANONYMOUS, CustomerId, Event, EventKind, ProductId
from realtime_pipeline.domain.shop.money import as_number
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.fold import fold
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import FromNewer, Record
from realtime_pipeline.domain.streams.settings import FoldSettings
from realtime_pipeline.domain.streams.watermark import Watermark

EXAMPLES_MAX: Final = 3
"""How many examples of each reason are kept."""
NAMES_MAX: Final = 1_000
"""How many names of fields, types and reasons are counted at most."""

_UNMAPPED_RECORD: Final = b',"record":'
"""What stands before the record, where the log's record says why it is no event."""

FindUnknown = Callable[[bytes], Sequence[tuple[str, str | None]]]
"""Returns the fields of an event that have no meaning here, each with the name that may be meant, if there is one."""


@attrs.frozen
class Example:
    """A record that would become a dead letter: where it is, why, and how it begins."""

    origin: str
    reason: str
    begin: str


@attrs.frozen
class CheckReport:
    """What the records read would become.

    `counts` has every record of the log in its class, with the messages that workers write when visitors sign in.
    `reasons` counts dead letters by the code of their reason. `unknown_fields` counts fields without a meaning, each
    with the name that may be meant; `missing_paths` has the mapping's fields whose paths had no value in the first
    thousand records. `left_out` counts records that the mapping ignores, by type. Money is in
    ten-thousandths of the currency's unit. `excluded` counts the applied events that are for their customer's profile
    alone, by their user agents, ids or rate; `products` are those of the others.
    """

    records: int
    events: int
    messages: int
    counts: Mapping[RecordClass, int]
    reasons: Mapping[str, int]
    examples: Mapping[str, Sequence[Example]]
    ignored_types: Mapping[str, int]
    left_out: Mapping[str, int]
    unknown_fields: Mapping[str, tuple[int, str | None]]
    missing_paths: Mapping[str, str]
    kinds: Mapping[EventKind, int]
    first_ms: int | None
    last_ms: int | None
    customers: int
    visitors: int
    products: int
    orders: int
    units: int
    spend: int
    refunds: int
    excluded: int = 0

    @property
    def unusable(self) -> float:
        """The share of the log's records that would become dead letters; 1 if none is applied."""
        dead, applied = self.counts.get(RecordClass.DEAD_LETTER, 0), self.counts.get(RecordClass.APPLIED, 0)
        if not applied:
            return 1.0 if self.records else 0.0
        return dead / (self.events or 1)

    def as_dict(self) -> dict[str, object]:
        """Return the report as a JSON document; money in units of the currency, times in ISO 8601."""
        document = attrs.asdict(self, filter=lambda field, _: field.name not in ("counts", "kinds", "examples"))
        document |= {
            "counts": {name.value: count for name, count in self.counts.items()},
            "kinds": {kind.value: count for kind, count in self.kinds.items()},
            "examples": {code: [attrs.asdict(found) for found in few] for code, few in self.examples.items()},
            "unknown_fields": {
                name: {"count": count, "suggestion": meant} for name, (count, meant) in self.unknown_fields.items()
            },
            "spend": as_number(self.spend),
            "refunds": as_number(self.refunds),
            "unusable": self.unusable,
        }
        for name in ("first", "last"):
            at_ms = document.pop(f"{name}_ms")
            document[f"{name}_at"] = None if at_ms is None else utc_text(at_ms)
        return document


class CheckEvents:
    """Prepares, decodes and folds records as publishing and a worker would, and stores nothing.

    It folds into customers in memory, so the memory grows with their number: some kilobytes each. Call it with records
    in the order in which they would be published, then read the report.
    """

    def __init__(
        self,
        prepare: PrepareRecords,
        decode: Decode,
        encode_message: EncodeMessage,
        find_unknown: FindUnknown,
        settings: FoldSettings,
        clock: Clock,
    ) -> None:
        self._prepare = prepare
        self._decode = decode
        self._encode_message = encode_message
        self._find_unknown = find_unknown
        self._settings = settings
        self._clock = clock
        self._customers: dict[CustomerId, Customer] = {}
        self._watermark = Watermark()
        self._position = 0
        self._records = self._events = self._messages = 0
        self._counts: Counter[RecordClass] = Counter()
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, list[Example]] = {}
        self._ignored: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._meant: dict[str, str | None] = {}
        self._sums = _Sums()
        self._waiting: deque[Message] = deque()

    def add(self, records: Sequence[SourceRecord]) -> None:
        """Check records.

        Raises:
            NewerRelease: a record is the message of a newer release's worker.
        """
        self._records += len(records)
        outgoing = [made for record in records for made in self._prepare(record)]
        self._events += len(outgoing)
        now_ms = self._clock.now_ms()
        for made in outgoing:
            self._waiting += self._fold(self._record(made.key, made.value, made.origin, now_ms))

    def _fold_messages(self) -> None:
        """Fold the messages of workers, which lie in the log behind all that was published before."""
        now_ms = self._clock.now_ms()
        while self._waiting:
            made = self._encode_message(self._waiting.popleft())
            self._messages += 1
            self._waiting += self._fold(self._record(made.key, made.value, made.origin, now_ms))

    def report(self) -> CheckReport:
        """What the records checked so far would become; call it once, at the end."""
        self._fold_messages()
        known = [customer for customer in self._customers.values() if customer.visits.first_seen_ms is not None]
        visitors = sum(customer.customer_id.startswith(ANONYMOUS) for customer in known)
        sums = self._sums
        return CheckReport(
            records=self._records,
            events=self._events,
            messages=self._messages,
            counts={name: count for name, count in self._counts.items() if count},
            reasons=dict(self._reasons),
            examples=dict(self._examples),
            ignored_types=dict(self._ignored),
            left_out=dict(self._prepare.ignored_types),
            unknown_fields={name: (count, self._meant[name]) for name, count in self._unknown.most_common()},
            missing_paths=self._prepare.missing_paths(),
            kinds=dict(sums.kinds),
            first_ms=sums.first_ms,
            last_ms=sums.last_ms,
            customers=len(known) - visitors,
            visitors=visitors,
            products=len(sums.products),
            orders=sum(customer.purchases.orders_placed for customer in known),
            units=sum(customer.purchases.units for customer in known),
            spend=sums.spend,
            refunds=sums.refunds,
            excluded=sums.excluded,
        )

    def _record(self, key: bytes | None, value: bytes, origin: str | None, now_ms: int) -> Record:
        self._position += 1
        return Record(0, self._position - 1, key, value, now_ms, origin)

    def _fold(self, record: Record) -> Sequence[Message]:
        """Fold a record by itself, so that its class is known; return the messages that a worker would write."""
        decoded = self._decode(record)
        if isinstance(decoded, FromNewer):
            raise NewerRelease(f"{record.origin}: {decoded.reason}")
        if isinstance(decoded, Event | ProfileMerged) and decoded.customer_id is not None:
            self._customers.setdefault(decoded.customer_id, Customer(decoded.customer_id))
        excluded_before = self._excluded_of(decoded)
        effects, self._watermark = fold([(record, decoded)], self._customers, self._watermark, self._settings)
        self._counts.update(effects.counts)
        for name, count in effects.ignored_types.items():
            self._ignored[name if name in self._ignored or len(self._ignored) < NAMES_MAX else OTHER_TYPES] += count
        for letter in effects.dead_letters:
            self._note_letter(record, letter.reason)
        if isinstance(decoded, Event):
            if decoded.forwarded is None and not decoded.kind.is_custom:
                self._note_unknown(record.value)
            if RecordClass.APPLIED in effects.counts:  # of a forwarded event, the copy
                self._sums.add(decoded, is_excluded=self._is_excluded(decoded, excluded_before))
        return effects.messages

    def _excluded_of(self, decoded: object) -> int:
        """How many events of an event's customer are excluded so far."""
        if not isinstance(decoded, Event) or decoded.customer_id is None:
            return 0
        return self._customers[decoded.customer_id].visits.excluded

    def _is_excluded(self, event: Event, before: int) -> bool:
        """Whether an event that was folded is excluded, by how many of its customer's were before."""
        exclude = self._settings.exclude
        if exclude is not None and event.customer_id is None:
            return exclude.covers(event)
        return self._excluded_of(event) > before

    def _note_unknown(self, value: bytes) -> None:
        for name, meant in self._find_unknown(value):
            if name in self._meant or len(self._meant) < NAMES_MAX:
                self._unknown[name] += 1
                self._meant[name] = meant

    def _note_letter(self, record: Record, reason: str) -> None:
        code = reason.partition(":")[0]
        if code not in self._reasons and len(self._reasons) >= NAMES_MAX:
            return
        self._reasons[code] += 1
        examples = self._examples.setdefault(code, [])
        if len(examples) < EXAMPLES_MAX:
            shown = record.value.partition(_UNMAPPED_RECORD)[2] or record.value
            begin = shown[:200].decode("utf-8", "replace")
            examples.append(Example(record.origin or f"record {record.position + 1}", reason, begin))


@attrs.define
class _Sums:
    """What the applied events add up to."""

    kinds: Counter[EventKind] = attrs.Factory(Counter)
    first_ms: int | None = None
    last_ms: int | None = None
    products: set[ProductId] = attrs.Factory(set)
    spend: int = 0
    refunds: int = 0
    excluded: int = 0

    def add(self, event: Event, *, is_excluded: bool) -> None:
        self.excluded += is_excluded
        self.kinds[event.kind] += 1
        at_ms = event.occurred_at_ms
        self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)
        self.last_ms = at_ms if self.last_ms is None else max(self.last_ms, at_ms)
        if event.product_id is not None and not is_excluded:
            self.products.add(event.product_id)
        if event.kind is EventKind.PRODUCT_PURCHASED:
            self.spend += event.amount
        elif event.kind is EventKind.PURCHASE_CANCELLED:
            self.refunds += event.amount
