"""CompiledMapping: a mapping as a function from a record's document to event documents."""

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import attrs

from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import (
    RESERVED_TYPE,
    TOP_LEVEL,
    TYPE,
    EventMapping,
    EventRule,
    FieldSpec,
    as_field,
)
from realtime_pipeline.domain.mapping.mapped import Document, Mapped, Unmappable
from realtime_pipeline.domain.mapping.readers import as_text
from realtime_pipeline.domain.mapping.rules import EVENTS_MAX, TOO_MANY_EVENTS, CompiledRule
from realtime_pipeline.domain.paths import first_name
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX

__all__ = ("EVENTS_MAX", "UNMAPPED", "CompiledMapping", "Document", "Mapped", "Unmappable")

UNMAPPED: Final = "unmapped:"
"""What the type of a record begins with that no rule is for, so that no type has a meaning by chance."""

_BY_MAPPING_ALONE: Final = ("customer_forgotten", "forget", RESERVED_TYPE)
"""Types that a record cannot have by chance: only `types` or a constant makes an event that erases a customer."""


class CompiledMapping:
    """Makes event documents of a source's records. Compiled once; pure."""

    def __init__(self, name: str, mapping: EventMapping, rates: Rates) -> None:
        self.name = name
        self._types = dict(mapping.types)
        self._only_types = mapping.only_types
        self._ignored = frozenset(mapping.ignore)
        self._rules = [CompiledRule(mapping, rule, rates) for rule in mapping.events]
        self._shares_ids = [
            any(_has_ids_of(rule, before) for before in mapping.events[:number])
            for number, rule in enumerate(mapping.events)
        ]
        self._fallback = CompiledRule(_with_ids_alone(mapping), EventRule(), rates)

    def __call__(self, document: Document, record_id: str = "") -> Mapped:
        """Map a record.

        Args:
            document: the record's JSON object, or its columns.
            record_id: names the record among those of all sources; the events' ids are made of it where the record has
                no id of its own.

        Returns:
            The events, each with an id that is the same when the same record is mapped again. A record that no rule
            makes an event of becomes an event of an unknown type, which is counted by it.

        Raises:
            Unmappable: the record cannot become events.
        """
        events, ignored_type, ids_of_record = list[dict[str, object]](), None, Counter[str]()
        for number, rule in enumerate(self._rules):
            ids_of_rule = Counter[str]()
            for scope, index in rule.scopes(document):
                type_ = rule.type_of(scope)
                if type_ in self._ignored:
                    ignored_type = type_
                    continue
                event = rule.event(scope, self._our_type(type_, rule))
                is_named = rule.has_own_id and "event_id" in event
                self._name_event(event, rule, number, record_id, index)
                _tell_apart(event, ids_of_rule if is_named else ids_of_record)
                events.append(event)
                if len(events) > EVENTS_MAX:
                    raise Unmappable(TOO_MANY_EVENTS)
        if not events and ignored_type is None:
            return self._unmatched(document, record_id)
        return Mapped(tuple(events), ignored_type)

    def _our_type(self, type_: str, rule: CompiledRule) -> str:
        """The type of an event by the source's."""
        own = self._types.get(type_)
        if own is not None:
            return own
        if rule.has_constant_type:
            return type_
        return UNMAPPED + type_ if self._only_types or type_ in _BY_MAPPING_ALONE else type_

    def customer(self, document: Document) -> Mapping[str, object]:
        """The ids of the customer of a record that cannot be mapped, as far as they can be read."""
        return self._fallback.event((document,), "")

    def _unmatched(self, document: Document, record_id: str) -> Mapped:
        """Make an event that is ignored of a record that no rule is for, so that it is counted by its type."""
        scope = (document,)
        type_ = self._fallback.type_of(scope, required=False)
        if type_ in self._ignored:
            return Mapped((), type_)
        event = self._fallback.event(scope, UNMAPPED + (type_ or "(no type)"))
        self._name_event(event, self._fallback, 0, record_id, None)
        return Mapped((event,))

    def _name_event(
        self, event: dict[str, object], rule: CompiledRule, number: int, record_id: str, index: int | None
    ) -> None:
        """Give an event an id that does not depend on what else the record became.

        An id that the rule names is the event's; its type is put behind it where an earlier rule names the same ids for
        another constant type. Of one that the mapping names for all rules, and of `record_id`, the
        first rule's event has it as it is, and that of another rule has its type behind it. An element without an id of
        its own has the record's, with its type and number.
        """
        own = event.get("event_id")
        if own is not None and not (isinstance(own, str | int | float) and not isinstance(own, bool)):
            return  # the decoder says what is wrong with it
        id_ = as_text(own) if own is not None else record_id or None
        if id_ is None:
            return
        if index is not None and (own is None or not rule.ids_are_of_elements):
            id_ = f"{id_}:{event[TYPE]}:{index}"
        elif (number and (own is None or not rule.has_own_id)) or self._shares_ids[number]:
            id_ = f"{id_}:{event[TYPE]}"
        elif own is not None and len(id_) <= ID_LENGTH_MAX:
            return
        event["event_id"] = _shortened(id_)


def _has_ids_of(rule: EventRule, before: EventRule) -> bool:
    """Whether two rules name the same ids for events of different types, which are different events."""
    if "event_id" not in rule.fields or (rule.split, rule.fields["event_id"]) != (
        before.split,
        before.fields.get("event_id"),
    ):
        return False
    types = [as_field(found.fields[TYPE]).constant if TYPE in found.fields else None for found in (before, rule)]
    return None not in types and types[0] != types[1]


def _tell_apart(event: dict[str, object], ids: Counter[str]) -> None:
    """Number events of a record that have the same id: they are of several elements.

    Rules that name ids are by themselves: what two of them give the same id is the same event.
    """
    own = event.get("event_id")
    if own is None:
        return
    id_ = free = str(own)
    while free in ids:
        ids[id_] += 1
        free = _shortened(f"{id_}:{ids[id_]}")
    ids[free] += 1
    if free != id_:
        event["event_id"] = free


def _shortened(id_: str) -> str:
    return id_ if len(id_) <= ID_LENGTH_MAX else blake2b(id_.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _with_ids_alone(mapping: EventMapping) -> EventMapping:
    """A mapping with the fields that say what a record is and of which customer: of the mapping, or of its first rule
    that reads them from the record."""
    fields: dict[str, FieldSpec] = {TYPE: TYPE}
    for name in (*TOP_LEVEL, TYPE):
        specs = [(rule, rule.fields[name]) for rule in mapping.events if name in rule.fields]
        of_record = [spec for rule, spec in specs if not _reads_elements(rule, spec)]
        found = [mapping.fields[name]] if name in mapping.fields else of_record[:1]
        if found and (name in mapping.fields or name in ("user_id", "session_id")):
            fields[name] = found[0]
    return attrs.evolve(mapping, fields=fields, events=(EventRule(),))


def _reads_elements(rule: EventRule, spec: FieldSpec) -> bool:
    field = as_field(spec)
    return any(first_name(path) in rule.split for path in field.value_paths)
