"""CompiledMapping: a mapping as a function from a record's document to event documents."""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b
from typing import Any, Final

import attrs

from realtime_pipeline.domain.conditions import Check, check_of, is_present
from realtime_pipeline.domain.mapping.currencies import Rates, UnknownRate
from realtime_pipeline.domain.mapping.definitions import (
    CURRENCY,
    MONEY,
    NUMBERS,
    TOP_LEVEL,
    TYPE,
    EventMapping,
    EventRule,
    Field,
    as_field,
)
from realtime_pipeline.domain.mapping.numbers import read_number
from realtime_pipeline.domain.mapping.paths import Get, Scope, compile_path, first_name
from realtime_pipeline.domain.mapping.times import ReadTime, time_reader, zone_named
from realtime_pipeline.domain.shop.events import ID_LENGTH_MAX
from realtime_pipeline.domain.shop.money import decimals_of

Document = Mapping[str, Any]
EVENTS_MAX: Final = 10_000
"""How many events a record may become at most."""
UNMAPPED: Final = "unmapped:"
"""What the type of a record begins with that no rule is for, so that no type has a meaning by chance."""

_ERASING: Final = ("customer_forgotten", "forget", "history_merged")
"""Types that have their meaning here by the mapping alone, not by chance."""
_TEN_THOUSANDTH: Final = Decimal("0.0001")
_CONTEXT: Final = "context."


class Unmappable(Exception):
    """A record cannot become an event; the message is the reason of its dead letter."""


@attrs.frozen
class Mapped:
    """What a record became: events, none if it is of a type that the mapping ignores."""

    events: tuple[dict[str, object], ...]
    ignored_type: str | None = None


class CompiledMapping:
    """Makes event documents of a source's records. Compiled once; pure."""

    def __init__(self, name: str, mapping: EventMapping, rates: Rates) -> None:
        self.name = name
        self._types = dict(mapping.types)
        self._ignored = frozenset(mapping.ignore)
        self._rules = [_Rule(mapping, rule, rates) for rule in mapping.events]
        self._fallback = _Rule(_with_ids_alone(mapping), EventRule(), rates)

    def __call__(self, document: Document, record_id: str = "") -> Mapped:
        """Map a record.

        Args:
            document: the record's JSON object, or its columns.
            record_id: names the record among those of all sources; the events' ids are made of it where the record has
                no id of its own.

        Returns:
            The events, each with an id that is the same when the same record is mapped again.

        Raises:
            Unmappable: the record cannot become events.
        """
        events, ignored_type, matched = list[dict[str, object]](), None, False
        for number, rule in enumerate(self._rules):
            if not rule.is_for(document):
                continue
            matched = True
            for scope, index in rule.scopes(document):
                type_ = rule.type_of(scope)
                if type_ in self._ignored:
                    ignored_type = type_
                    continue
                event = rule.event(scope, self._our_type(type_))
                self._name_event(event, rule, record_id, number if events else 0, index)
                events.append(event)
                if len(events) > EVENTS_MAX:
                    raise Unmappable(f"too_many_events: the record would become more than {EVENTS_MAX} events")
        if not matched:
            return self._unmatched(document, record_id)
        return Mapped(tuple(events), ignored_type)

    def _our_type(self, type_: str) -> str:
        """The type of an event by the source's. None erases a customer unless the mapping says so."""
        own = self._types.get(type_)
        if own is None:
            return UNMAPPED + type_ if type_ in _ERASING else type_
        return own

    def customer(self, document: Document) -> Mapping[str, object]:
        """The ids of the customer of a record that cannot be mapped, as far as they can be read."""
        return self._fallback.event((document,), "")

    def _unmatched(self, document: Document, record_id: str) -> Mapped:
        """Make an event that is ignored of a record that no rule is for, so that it is counted by its type."""
        scope = (document,)
        type_ = self._fallback.type_of(scope, required=False)
        if type_ in self._ignored:
            return Mapped((), type_)
        event = self._fallback.event(scope, UNMAPPED + (type_ or self.name))
        self._name_event(event, self._fallback, record_id, 0, None)
        return Mapped((event,))

    def _name_event(
        self, event: dict[str, object], rule: "_Rule", record_id: str, number: int, index: int | None
    ) -> None:
        """Give an event an id of its own: that of its record, with its number where the record becomes several."""
        own = event.get("event_id")
        base = record_id or None if own is None else own
        if base is None:
            return
        if index is not None and not (own is not None and rule.ids_are_of_elements):
            base = f"{base}:{number}.{index}"
        elif number and not rule.ids_are_of_elements:
            base = f"{base}:{number}"
        text = str(base)
        event["event_id"] = base if len(text) <= ID_LENGTH_MAX else blake2b(text.encode(), digest_size=16).hexdigest()


def _with_ids_alone(mapping: EventMapping) -> EventMapping:
    """A mapping with the fields that say what a record is and of which customer."""
    fields = {field: spec for field, spec in mapping.fields.items() if field in (*TOP_LEVEL, TYPE)}
    return attrs.evolve(mapping, fields={TYPE: TYPE} | fields, events=(EventRule(),))


class _Rule:
    """A rule of a mapping, compiled."""

    def __init__(self, mapping: EventMapping, rule: EventRule, rates: Rates) -> None:
        fields = {name: as_field(spec) for name, spec in (mapping.fields | rule.fields).items()}
        variables = list(rule.split)
        self._checks: list[tuple[Get, Check]] = [
            (compile_path(path), check_of(condition)) for path, condition in rule.when.items()
        ]
        self._splits = [compile_path(path, variables[:level]) for level, path in enumerate(rule.split.values())]
        self.ids_are_of_elements = "event_id" in fields and any(
            first_name(path) in variables for path in (*fields["event_id"].paths, *fields["event_id"].join)
        )
        self._type = _reader(fields[TYPE], variables)
        read_time = time_reader(mapping.time, zone_named(mapping.timezone))
        self._currency = _reader(fields[CURRENCY], variables) if CURRENCY in fields else None
        self._rates = rates
        self._top: list[tuple[str, Get]] = [
            (name, _reader(fields[name], variables)) for name in TOP_LEVEL if name in fields
        ]
        self._read_time: ReadTime = read_time
        self._context = [
            (name.removeprefix(_CONTEXT), _reader(field, variables))
            for name, field in fields.items()
            if name.startswith(_CONTEXT) or name == "country"
        ]
        self._properties = [
            (name, _reader(field, variables), _number_reader(name, field, mapping.decimal))
            for name, field in fields.items()
            if name not in (*TOP_LEVEL, TYPE, CURRENCY, "country") and not name.startswith(_CONTEXT)
        ]
        self._minor = {name for name in MONEY if name in fields and fields[name].minor_units}

    def is_for(self, document: Document) -> bool:
        """Whether all conditions hold."""
        scope = (document,)
        return all(check(get(scope)) for get, check in self._checks)

    def scopes(self, document: Document) -> Sequence[tuple[Scope, int | None]]:
        """The elements that the record is split into, each with its number; the record alone without a split."""
        scopes: list[tuple[Any, ...]] = [(document,)]
        for get in self._splits:
            scopes = [(*scope, element) for scope in scopes for element in _elements(get(scope))]
            if len(scopes) > EVENTS_MAX:
                raise Unmappable(f"too_many_events: the record would become more than {EVENTS_MAX} events")
        return [(scope, index if self._splits else None) for index, scope in enumerate(scopes)]

    def type_of(self, scope: Scope, required: bool = True) -> str:
        """The source's name of the event's type.

        Raises:
            Unmappable: it is required, and absent.
        """
        value = self._type(scope)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return str(value)
        if required:
            raise Unmappable("no_event_type: the field that has the type of the event is absent or no text")
        return ""

    def event(self, scope: Scope, type_: str) -> dict[str, object]:
        """The event of a scope."""
        event: dict[str, object] = {TYPE: type_}
        for name, read in self._top:
            value = read(scope)
            if value is not None:
                event[name] = self._read_time(value) if name == "timestamp" else value
        properties: dict[str, object] = {}
        for name, read, to_number in self._properties:
            value = read(scope)
            if value is not None:
                properties[name] = value if to_number is None else to_number(value)
        if self._currency is not None or self._minor:
            self._convert_money(scope, event, properties)
        if properties:
            event["properties"] = properties
        context = {name: value for name, read in self._context if (value := read(scope)) is not None}
        if context:
            event["context"] = context
        return event

    def _convert_money(self, scope: Scope, event: Document, properties: dict[str, object]) -> None:
        """Convert money to units of the shop's currency.

        Raises:
            Unmappable: there is no rate for it.
        """
        currency = str(self._currency(scope) or "").strip().upper() if self._currency is not None else ""
        try:
            shift = -decimals_of(currency or self._rates.currency)
        except ValueError:
            raise Unmappable(f'unknown_currency: "{currency[:40]}" is no currency code of ISO 4217') from None
        money = {name: found for name in MONEY if isinstance(found := properties.get(name), Decimal)}
        for name in self._minor & money.keys():
            money[name] = money[name].scaleb(shift)
        rate = None
        if currency and any(money.values()):
            at_ms = event.get("timestamp")
            if currency != self._rates.currency and not isinstance(at_ms, int):
                raise Unmappable("invalid_timestamp: money cannot be converted without the time of the event")
            try:
                rate = self._rates.rate(currency, at_ms if isinstance(at_ms, int) else 0)
            except UnknownRate as error:
                raise Unmappable(str(error)) from None
        if rate is not None:
            quantity = properties.get("quantity", 1)
            if "amount" not in money and "price" in money and isinstance(quantity, int | Decimal):
                money["amount"] = money["price"] * quantity
            money = {name: (value * rate).quantize(_TEN_THOUSANDTH, ROUND_HALF_EVEN) for name, value in money.items()}
        properties.update(money)


def _elements(value: object) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value
    return () if value is None else (value,)


def _reader(field: Field, variables: Sequence[str]) -> Get:
    """Compile where a field comes from; what is absent, null or "" is None."""
    if field.constant is not None:
        return lambda _: field.constant
    if field.join:
        parts = [compile_path(path, variables) for path in field.join]

        def join(scope: Scope) -> object:
            values = [part(scope) for part in parts]
            return field.by.join(map(str, values)) if all(map(is_present, values)) else None

        return _cut(join, field)
    paths = [compile_path(path, variables) for path in field.paths]
    if len(paths) == 1:
        only = paths[0]
        return _cut(lambda scope: value if (value := only(scope)) not in ("", None) else None, field)
    return _cut(lambda scope: next((value for path in paths if is_present(value := path(scope))), None), field)


def _cut(read: Get, field: Field) -> Get:
    if not (field.remove_prefix or field.remove_suffix or field.until):
        return read

    def cut(scope: Scope) -> object:
        value = read(scope)
        if not isinstance(value, str):
            return value
        text = value.removeprefix(field.remove_prefix).removesuffix(field.remove_suffix)
        return (text.partition(field.until)[0] if field.until else text) or None

    return cut


def _number_reader(name: str, field: Field, decimal: str) -> Callable[[object], object] | None:
    """A function that reads a field that is a number; None for other fields. What is no number stays as it is, and the
    decoder says whether that matters."""
    if name not in NUMBERS:
        return None
    is_whole = name not in MONEY

    def read(value: object) -> object:
        number = read_number(value, decimal)
        if number is None:
            return value
        if field.absolute:
            number = abs(number)
        return int(number) if is_whole and number == number.to_integral_value() else number

    return read
