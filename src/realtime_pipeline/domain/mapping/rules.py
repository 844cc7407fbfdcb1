"""CompiledRule: a rule of a mapping as functions of a record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from typing import Any, Final

from realtime_pipeline.domain.conditions import Check, Condition, check_of
from realtime_pipeline.domain.mapping.currencies import Rates, UnknownRate
from realtime_pipeline.domain.mapping.definitions import (
    CURRENCY,
    MONEY,
    TOP_LEVEL,
    TYPE,
    EventMapping,
    EventRule,
    Field,
    as_field,
)
from realtime_pipeline.domain.mapping.mapped import Document, Unmappable
from realtime_pipeline.domain.mapping.readers import EXACT, as_text, value_reader
from realtime_pipeline.domain.mapping.times import time_reader
from realtime_pipeline.domain.paths import Get, Scope, compile_path, first_name
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.domain.shop.times import END_OF_TIME
from realtime_pipeline.domain.zones import zone_named

EVENTS_MAX: Final = 10_000
"""How many events a record may become at most."""
TOO_MANY_EVENTS: Final = f"too_many_events: the record would become more than {EVENTS_MAX} events"

_TEN_THOUSANDTH: Final = Decimal("0.0001")
_CONTEXT: Final = "context."
_Test = Callable[[Scope], bool]


class CompiledRule:
    """A rule of a mapping.

    `has_own_id` says that the rule names the ids of its events itself, `ids_are_of_elements` that these are ids of the
    elements which it splits a record into, `has_constant_type` that the type of its events is a constant.
    """

    def __init__(self, mapping: EventMapping, rule: EventRule, rates: Rates) -> None:
        fields = {name: as_field(spec) for name, spec in (mapping.fields | rule.fields).items()}
        variables = list(rule.split)
        tests = [(path, _test(path, condition, variables, True)) for path, condition in rule.when.items()]
        tests += [(path, _test(path, condition, variables, False)) for path, condition in rule.unless.items()]
        self._tests = [test for path, test in tests if first_name(path) not in variables]
        self._element_tests = [test for path, test in tests if first_name(path) in variables]
        self._splits = [compile_path(path, variables[:level]) for level, path in enumerate(rule.split.values())]
        self.has_own_id = "event_id" in rule.fields
        self.ids_are_of_elements = "event_id" in fields and any(
            first_name(path) in variables for path in fields["event_id"].value_paths
        )
        self.has_constant_type = fields[TYPE].constant is not None

        def reader(name: str, field: Field) -> Get:
            return value_reader(name, field, variables, mapping)

        self._type = reader(TYPE, fields[TYPE])
        self._read_time = time_reader(mapping.time, zone_named(mapping.timezone))
        self._currency = reader(CURRENCY, fields[CURRENCY]) if CURRENCY in fields else None
        self._rates = rates
        self._top: list[tuple[str, Get]] = [(name, reader(name, fields[name])) for name in TOP_LEVEL if name in fields]
        self._context = [
            (name.removeprefix(_CONTEXT), reader(name, field))
            for name, field in fields.items()
            if name.startswith(_CONTEXT) or name == "country"
        ]
        self._properties = [
            (name, reader(name, field))
            for name, field in fields.items()
            if name not in (*TOP_LEVEL, TYPE, CURRENCY, "country") and not name.startswith(_CONTEXT)
        ]
        self._minor: set[str] = {name for name in MONEY if name in fields and fields[name].minor_units}

    def scopes(self, document: Document) -> Iterator[tuple[Scope, int | None]]:
        """The record, or the elements that it is split into, each with its number, for which all conditions hold.

        Raises:
            Unmappable: there are too many.
        """
        record = (document,)
        if not all(test(record) for test in self._tests):
            return
        for index, scope in enumerate(self._elements(record) if self._splits else (record,)):
            if index >= EVENTS_MAX:
                raise Unmappable(TOO_MANY_EVENTS)
            if all(test(scope) for test in self._element_tests):
                yield scope, index if self._splits else None

    def _elements(self, scope: Scope, level: int = 0) -> Iterator[Scope]:
        for element in _elements_of(self._splits[level](scope)):
            inner = (*scope, element)
            if level + 1 < len(self._splits):
                yield from self._elements(inner, level + 1)
            else:
                yield inner

    def type_of(self, scope: Scope, required: bool = True) -> str:
        """The source's name of the event's type.

        Raises:
            Unmappable: it is required, and absent.
        """
        value = self._type(scope)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return as_text(value)
        if required:
            raise Unmappable("no_event_type: the field that has the type of the event is absent or no text")
        return ""

    def event(self, scope: Scope, type_: str) -> dict[str, object]:
        """The event of a scope.

        Raises:
            Unmappable: its money cannot be converted.
        """
        event: dict[str, object] = {TYPE: type_}
        for name, read in self._top:
            value = read(scope)
            if value is not None:
                event[name] = self._read_time(value) if name == "timestamp" else value
        properties: dict[str, object] = {}
        for name, read in self._properties:
            value = read(scope)
            if value is not None:
                properties[name] = value
        if self._currency is not None or self._minor:
            self._convert_money(scope, event, properties)
        if properties:
            event["properties"] = properties
        context = {name: value for name, read in self._context if (value := read(scope)) is not None}
        if context:
            event["context"] = context
        return event

    def _convert_money(self, scope: Scope, event: Mapping[str, object], properties: dict[str, object]) -> None:
        """Convert money to units of the shop's currency; zero needs no rate.

        Raises:
            Unmappable: its currency is unknown, there is no rate for it, or it is too large.
        """
        money: dict[str, Decimal] = {
            name: found for name in MONEY if isinstance(found := properties.get(name), Decimal)
        }
        if not any(money.values()):
            return
        currency = str(self._currency(scope) or "").strip().upper() if self._currency is not None else ""
        try:
            shift = -decimals_of(currency or self._rates.currency)
        except ValueError:
            raise Unmappable(f'unknown_currency: "{currency[:40]}" is no currency code of ISO 4217') from None
        try:
            for name in self._minor & money.keys():
                money[name] = money[name].scaleb(shift, EXACT)
            rate = self._rate(currency, event.get("timestamp"))
            if rate is not None:
                quantity = properties.get("quantity", 1)
                if "amount" not in money and "price" in money and isinstance(quantity, int | Decimal):
                    money["amount"] = EXACT.multiply(money["price"], Decimal(quantity))
                for name, value in money.items():
                    converted = EXACT.multiply(value, rate)
                    money[name] = converted.quantize(_TEN_THOUSANDTH, ROUND_HALF_EVEN, EXACT)
        except DecimalException:
            raise Unmappable("invalid_amount: it is too large to be converted") from None
        properties.update(money)

    def _rate(self, currency: str, at_ms: object) -> Decimal | None:
        if not currency or currency == self._rates.currency:
            return None
        if not isinstance(at_ms, int) or not 0 <= at_ms < END_OF_TIME:
            raise Unmappable("invalid_timestamp: money cannot be converted without the time of the event")
        try:
            return self._rates.rate(currency, at_ms)
        except UnknownRate as error:
            raise Unmappable(str(error)) from None


def _test(path: str, condition: Condition, variables: Sequence[str], wanted: bool) -> _Test:
    get: Get = compile_path(path, variables)
    check: Check = check_of(condition)
    return lambda scope: check(get(scope)) is wanted


def _elements_of(value: object) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value
    return () if value is None else (value,)
