"""Mappings as data: which fields of a source's records are ours, without callables, in Python or TOML."""

from datetime import date
from typing import Final, Literal

import attrs

from realtime_pipeline.domain.conditions import Condition, Scalar
from realtime_pipeline.domain.mapping.times import time_reader
from realtime_pipeline.domain.paths import compile_path
from realtime_pipeline.domain.zones import zone_named

MONEY: Final = ("price", "amount")
NUMBERS: Final = (*MONEY, "quantity", "rating", "stock")
TOP_LEVEL: Final = ("event_id", "user_id", "session_id", "timestamp")
"""Our fields that are not properties; those that begin with `context.` and `country` are parts of the context."""
TYPE: Final = "event_type"
CURRENCY: Final = "currency"
FORMATS: Final = ("jsonl", "csv", "parquet", "text")
RESERVED_TYPE: Final = "history_merged"
"""The type of messages that only workers write."""
OUR_FIELDS: Final = (
    *(TYPE, *TOP_LEVEL, *NUMBERS, CURRENCY, "country"),
    *("product_id", "name", "category", "order_id", "products", "text", "in_stock", "image_url"),
)
"""The names of fields that have a meaning; any other is kept as a property."""


@attrs.frozen
class Field:
    """Where the value of one of our fields comes from.

    Exactly one of these: `path`, of which several may be given: the first with a value counts; `constant`; or `join`,
    paths whose values are joined by `by` if all have one, each of which may be several paths, too. Then, of text:
    `remove_prefix` and `remove_suffix` are cut off, and all from the first `until` on; `prefix` is put before a value.
    Of numbers: `times` is multiplied with it, and all numbers of `minus` are subtracted, where these paths have values;
    `absolute` drops the sign; `minor_units` says that money is written in cents, or what the currency has.
    """

    path: str | tuple[str, ...] = ()
    constant: Scalar | None = None
    join: tuple[str | tuple[str, ...], ...] = ()
    by: str = "-"
    remove_prefix: str = ""
    remove_suffix: str = ""
    until: str = ""
    prefix: str = ""
    times: str | tuple[str, ...] = ()
    minus: str | tuple[str, ...] = ()
    absolute: bool = False
    minor_units: bool = False

    def __attrs_post_init__(self) -> None:
        if sum((bool(self.path), self.constant is not None, bool(self.join))) != 1:
            raise ValueError("a field needs exactly one of path, constant, join")
        for path in self.all_paths:
            compile_path(path)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of which the first with a value counts."""
        return as_paths(self.path)

    @property
    def all_paths(self) -> tuple[str, ...]:
        """All paths that are read."""
        return (*self.value_paths, *as_paths(self.times), *as_paths(self.minus))

    @property
    def value_paths(self) -> tuple[str, ...]:
        """The paths that the value itself comes from."""
        return (*self.paths, *(path for part in self.join for path in as_paths(part)))


def as_paths(path: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return paths that may be written as a single one."""
    return ((path,) if path else ()) if isinstance(path, str) else path


FieldSpec = str | tuple[str, ...] | int | float | bool | Field
"""A path, several of which the first with a value counts, a constant that is not text, or a field."""


def as_field(spec: FieldSpec) -> Field:
    """Return a field as it is meant."""
    if isinstance(spec, Field):
        return spec
    return Field(path=spec) if isinstance(spec, str | tuple) else Field(constant=spec)


def _check_fields(fields: dict[str, FieldSpec]) -> None:
    """Refuse fields that are none, and names that are ours in another spelling."""
    for name, spec in fields.items():
        field = as_field(spec)
        meant = _OURS_BY_LETTERS.get(_letters(name))
        if meant is not None and name != meant:
            raise ValueError(f"fields: {name} is written {meant}")
        if name == TYPE and field.constant == RESERVED_TYPE:
            raise ValueError(f"{TYPE}: {RESERVED_TYPE} is reserved for workers")


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


_OURS_BY_LETTERS: Final = {_letters(name): name for name in OUR_FIELDS}


@attrs.frozen
class EventRule:
    """Which records become events of which fields.

    `when` maps paths to conditions, all of which must hold; of those of `unless` none may. `split` maps a variable to
    the path of a list: the rule makes an event for each of its elements, and paths that begin with the variable are
    read in the element, also those of conditions; the list of a second variable may lie in the first. `fields` maps
    our fields to where they come from; other names than ours are kept as properties.
    """

    when: dict[str, Condition] = attrs.Factory(dict)
    unless: dict[str, Condition] = attrs.Factory(dict)
    split: dict[str, str] = attrs.Factory(dict)
    fields: dict[str, FieldSpec] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        for path in (*self.when, *self.unless, *self.split.values()):
            compile_path(path)
        _check_fields(self.fields)


@attrs.frozen
class EventMapping:
    """How the records of a source become events.

    `fields` hold for all `events`; a rule's own replace them. Every rule whose conditions hold makes events, so a
    record may become several. A record that no rule is for is published with its type as an event that is ignored, and
    counted by it. `types` maps the source's type names to ours; with `only_types`, names that are not in it are those
    of events that are ignored, whatever they are called. Those of `ignore` are not published at all.

    `time` says how times are written (`""`: milliseconds or ISO 8601; `s`, `ms`, `us`, `ns`, or a pattern of strptime;
    of several, the first that fits), `timezone` where those without a zone are meant, `decimal` how text separates
    decimals, `absent` which texts mean that there is no value. `currency` is a field with the event's currency.
    `format`, `delimiter`, `header` and `pattern` say how files are read.
    """

    fields: dict[str, FieldSpec] = attrs.Factory(dict)
    events: tuple[EventRule, ...] = (EventRule(),)
    types: dict[str, str] = attrs.Factory(dict)
    only_types: bool = False
    ignore: tuple[str, ...] = ()
    time: str | tuple[str, ...] = ""
    timezone: str = "UTC"
    decimal: Literal[".", ","] = "."
    absent: tuple[str, ...] = ()
    format: str = ""
    delimiter: str = ","
    header: tuple[str, ...] = ()
    pattern: str = ""

    def __attrs_post_init__(self) -> None:
        _check_fields(self.fields)
        if RESERVED_TYPE in self.types.values():
            raise ValueError(f"types: {RESERVED_TYPE} is reserved for workers")
        if not self.events:
            raise ValueError("a mapping needs at least one rule in events")
        for number, rule in enumerate(self.events, 1):
            if TYPE not in {**self.fields, **rule.fields}:
                raise ValueError(f"rule {number} of events needs the field {TYPE}: a path, or {{constant = …}}")
        time_reader(self.time, zone_named(self.timezone))
        if self.decimal not in (".", ","):
            raise ValueError(f'decimal is "." or ",", not "{self.decimal}"')
        if self.format and self.format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, not {self.format}")
        if len(self.delimiter) != 1:
            raise ValueError("delimiter is a single character")

    @property
    def reads_currency(self) -> bool:
        """Whether events have a currency of their own."""
        return any(CURRENCY in {**self.fields, **rule.fields} for rule in self.events)


@attrs.frozen
class ExchangeRate:
    """What one unit of a currency is worth in the shop's, from a day (UTC) on until the next rate of that currency."""

    currency: str
    since: date
    rate: float

    def __attrs_post_init__(self) -> None:
        if not 0 < self.rate < 1e9:
            raise ValueError("rate must be more than 0")
