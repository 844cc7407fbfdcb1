"""Mappings as data: which fields of a source's records are ours, without callables, in Python or TOML."""

from datetime import date
from typing import Final, Literal

import attrs

from realtime_pipeline.domain.conditions import Condition, Scalar
from realtime_pipeline.domain.mapping.paths import compile_path
from realtime_pipeline.domain.mapping.times import time_reader, zone_named

MONEY: Final = ("price", "amount")
NUMBERS: Final = (*MONEY, "quantity", "rating")
TOP_LEVEL: Final = ("event_id", "user_id", "session_id", "timestamp")
"""Our fields that are not properties; those that begin with `context.` and `country` are parts of the context."""
TYPE: Final = "event_type"
CURRENCY: Final = "currency"
FORMATS: Final = ("jsonl", "csv", "parquet", "text")


@attrs.frozen
class Field:
    """Where the value of one of our fields comes from.

    Exactly one of these: `path`, of which several may be given: the first with a value counts; `constant`; or `join`,
    paths whose values are joined by `by` if all have one. Then, of text: `remove_prefix` and `remove_suffix` are cut
    off, and all from the first `until` on. Of numbers: `absolute` drops the sign; `minor_units` says that money is
    written in cents, or what the currency has.
    """

    path: str | tuple[str, ...] = ()
    constant: Scalar | None = None
    join: tuple[str, ...] = ()
    by: str = "-"
    remove_prefix: str = ""
    remove_suffix: str = ""
    until: str = ""
    absolute: bool = False
    minor_units: bool = False

    def __attrs_post_init__(self) -> None:
        if sum((bool(self.path), self.constant is not None, bool(self.join))) != 1:
            raise ValueError("a field needs exactly one of path, constant, join")
        for path in (*self.paths, *self.join):
            compile_path(path)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of which the first with a value counts."""
        return (self.path,) if isinstance(self.path, str) else self.path


FieldSpec = str | tuple[str, ...] | int | float | bool | Field
"""A path, several of which the first with a value counts, a constant that is not text, or a field."""


def as_field(spec: FieldSpec) -> Field:
    """Return a field as it is meant."""
    if isinstance(spec, Field):
        return spec
    return Field(path=spec) if isinstance(spec, str | tuple) else Field(constant=spec)


@attrs.frozen
class EventRule:
    """Which records become events of which fields.

    `when` maps paths to conditions, all of which must hold. `split` maps a variable to the path of a list: the rule
    makes an event for each of its elements, whose fields have paths that begin with the variable; the list of a second
    variable may lie in the first. `fields` maps our fields to where they come from; other names than ours are kept
    as properties.
    """

    when: dict[str, Condition] = attrs.Factory(dict)
    split: dict[str, str] = attrs.Factory(dict)
    fields: dict[str, FieldSpec] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        for path in (*self.when, *self.split.values()):
            compile_path(path)
        for spec in self.fields.values():
            as_field(spec)


@attrs.frozen
class EventMapping:
    """How the records of a source become events.

    `fields` hold for all `events`; a rule's own replace them. Every rule whose conditions hold makes events, so a
    record may become several. A record that no rule is for is published with its type as an event that is ignored, and
    counted by it. `types` maps the source's type names to ours; those of `ignore` are not published at all.

    `time` says how times are written (`""`: milliseconds or ISO 8601; `s`, `ms`, `us`, `ns`, or a pattern of strptime),
    `timezone` where those without a zone are meant, `decimal` how text separates decimals. `currency` is a field with
    the event's currency. `format`, `delimiter`, `header` and `pattern` say how files are read.
    """

    fields: dict[str, FieldSpec] = attrs.Factory(dict)
    events: tuple[EventRule, ...] = (EventRule(),)
    types: dict[str, str] = attrs.Factory(dict)
    ignore: tuple[str, ...] = ()
    time: str = ""
    timezone: str = "UTC"
    decimal: Literal[".", ","] = "."
    format: str = ""
    delimiter: str = ","
    header: tuple[str, ...] = ()
    pattern: str = ""

    def __attrs_post_init__(self) -> None:
        for spec in self.fields.values():
            as_field(spec)
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
