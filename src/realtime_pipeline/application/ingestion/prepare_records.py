"""PrepareRecords: make the log's records of a source's, with a mapping or as they are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from realtime_pipeline.application.ports.decoding import EncodeEvent, FindKey, FindRoute, ParseDocument
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.application.ports.source import SourceRecord, Unreadable
from realtime_pipeline.domain.mapping.columns import ColumnsMapping
from realtime_pipeline.domain.mapping.compiled import CompiledMapping, Unmappable
from realtime_pipeline.domain.mapping.coverage import PathCoverage
from realtime_pipeline.domain.shop.events import NOTHING

EncodeUnmapped = Callable[[str, str, bytes | Mapping[str, object], Mapping[str, object]], bytes]
"""Encodes a record that is no event, with the reason, its source, and the ids of its customer."""

IGNORED_TYPES_MAX: Final = 1_000
"""How many types that a mapping ignores are counted by name at most."""
OTHER_TYPES: Final = "(other types)"


class PrepareRecords:
    """Makes events of a source's records; what cannot be one becomes a record that the worker makes a dead letter of.

    Without a mapping, JSON objects are events in an accepted schema already, and other records have fields named as
    ours; `default_type` is the type of those without one. Copies that a worker made are skipped; `copies` counts them,
    and `ignored_types` the records of types that the mapping ignores. `coverage` looks for its paths without a
    value. `defaults` are fields of mapped events that lack them.
    """

    def __init__(
        self,
        source: str,
        mapping: CompiledMapping | ColumnsMapping | None,
        parse: ParseDocument,
        encode_event: EncodeEvent,
        encode_unmapped: EncodeUnmapped,
        find_route: FindRoute,
        find_key: FindKey,
        default_type: str = "",
        coverage: PathCoverage | None = None,
        defaults: Mapping[str, object] = NOTHING,
    ) -> None:
        self._defaults = defaults
        self._coverage = coverage
        self.copies = 0
        self.ignored_types: Counter[str] = Counter()
        self._source = source
        self._mapping = mapping
        self._columns = ColumnsMapping(default_type)
        self._parse = parse
        self._encode_event = encode_event
        self._encode_unmapped = encode_unmapped
        self._find_route = find_route
        self._find_key = find_key

    def __call__(self, record: SourceRecord) -> Sequence[Outgoing]:
        """Make the log's records of one of the source's: none, one or several."""
        value = record.value
        if self._mapping is None and isinstance(value, bytes):
            route = self._find_route(value)
            if not route.is_workers:
                return (Outgoing(None if route.key is None else route.key.encode(), value, record.origin),)
            self.copies += 1
            return ()
        if isinstance(value, Unreadable):
            return [self._unmapped(value.reason, value.raw, record.origin)]
        return self._mapped(value, record)

    def _mapped(self, value: bytes | Mapping[str, object], record: SourceRecord) -> Sequence[Outgoing]:
        mapping = self._mapping or self._columns
        try:
            document = value if isinstance(value, Mapping) else self._parse(value)
        except ValueError as error:
            return [self._unmapped(str(error), value if isinstance(value, bytes) else b"", record.origin)]
        if self._coverage is not None:
            self._coverage.add(document)
        try:
            mapped = mapping(document, f"{self._source}:{record.id}")
        except Unmappable as error:
            return [self._unmapped(str(error), document, record.origin, mapping.customer(document))]
        if mapped.ignored_type is not None and not mapped.events:
            self._count_ignored(mapped.ignored_type)
        try:
            return [self._outgoing({**self._defaults, **event}, record.origin) for event in mapped.events]
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            return [self._unmapped(f"not_json: {error}", document, record.origin, mapping.customer(document))]

    def missing_paths(self) -> Mapping[str, str]:
        """By field, the mapping's paths that had no value so far; nothing where they are not looked for."""
        return {} if self._coverage is None else self._coverage.missing()

    def _outgoing(self, event: Mapping[str, object], origin: str) -> Outgoing:
        key = self._find_key(event)
        return Outgoing(None if key is None else key.encode(), self._encode_event(event), origin)

    def _unmapped(
        self,
        reason: str,
        value: bytes | Mapping[str, object],
        origin: str,
        customer: Mapping[str, object] | None = None,
    ) -> Outgoing:
        ids = customer or {}
        key = self._find_key(ids)
        encoded = self._encode_unmapped(reason, self._source, value, ids)
        return Outgoing(None if key is None else key.encode(), encoded, origin)

    def _count_ignored(self, type_: str) -> None:
        known = type_ in self.ignored_types or len(self.ignored_types) < IGNORED_TYPES_MAX
        self.ignored_types[type_ if known else OTHER_TYPES] += 1
