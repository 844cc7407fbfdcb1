"""Windowed aggregates as data: what is counted, of which events, in which windows; without callables."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Final

import attrs

from realtime_pipeline.domain.analytics.derived import Derived
from realtime_pipeline.domain.analytics.fields import PERSONAL, Field, field_named
from realtime_pipeline.domain.analytics.measures.accumulator import Reads
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.table import ACCUMULATORS
from realtime_pipeline.domain.analytics.windows import Window
from realtime_pipeline.domain.conditions import Condition, check_of
from realtime_pipeline.domain.limits import at_least, in_bounds
from realtime_pipeline.domain.paths import names_of

AGGREGATES_MAX: Final = 48
MEASURES_MAX: Final = 32
KEY_FIELDS_MAX: Final = 4
KEYS_MAX: Final = 100_000
DESCRIPTION_LENGTH_MAX: Final = 300
FORMAT: Final = 1
"""The format of the chunks of all measures. A release that changes it counts under other fingerprints."""
_DIGESTS: Final = "distinct"
"""The measure that keeps digests alone, and no value of an event."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{0,249}")
_NOT_COUNTED: Final = frozenset(("description", "topic"))
"""Fields that do not decide what is counted."""


@attrs.frozen
class WindowedAggregate:
    """Measures of events, by key, in windows of event time.

    Args:
        name: small letters, digits and _.
        window: how time is cut.
        measures: what is counted, by name.
        key: fields by whose values the events are grouped; none: all events together. Never a field of the customer.
        where: conditions on fields, all of which must hold for an event to be counted.
        derive: computed fields, by name.
        bound_ms: how much later than newer events of its partition an event may come before its window closes.
        lateness_ms: how much longer a closed window counts events; then it is final, and an event of it is late.
        keys_max: of how many keys each partition keeps a window; beyond it, those with the smallest hashes, and all
            others together.
        description: a line that says what is counted. It is no part of the fingerprint: other words count on.
        topic: with the log in Kafka, the topic that gets the results, in place of `kafka.window_results_topic`. No part
            of the fingerprint either.
    """

    name: str
    window: Window
    measures: dict[str, Measure]
    key: tuple[str, ...] = ()
    where: dict[str, Condition] = attrs.Factory(dict)
    derive: dict[str, Derived] = attrs.Factory(dict)
    bound_ms: int = 5_000
    lateness_ms: int = 3_600_000
    keys_max: int = 1_000
    description: str = ""
    topic: str = ""

    def __attrs_post_init__(self) -> None:
        try:
            self._check()
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}: {error}") from None

    @cached_property
    def fingerprint(self) -> str:
        """64 bits of BLAKE2b, in hexadecimal, of the definition and of the format in which panes are stored.

        What another definition or another release's format has counted lies under another fingerprint.
        """
        counted = attrs.asdict(self, filter=lambda field, _: field.name not in _NOT_COUNTED)
        text = f"{FORMAT}:{_canonical(counted)}"
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def field(self, name: str) -> Field:
        """A field of events by its name, computed or not."""
        return self.derive[name].field(name) if name in self.derive else field_named(name)

    def _check(self) -> None:
        for name in (self.name, *self.measures, *self.derive):
            if not _NAME.fullmatch(name):
                raise ValueError(f'"{name}" is no name: write up to 64 small letters, digits and _')
        if len(self.description) > DESCRIPTION_LENGTH_MAX or not self.description.isprintable():
            raise ValueError(f"description: write a line of up to {DESCRIPTION_LENGTH_MAX} printable characters")
        if not _TOPIC.fullmatch(self.topic) or self.topic in (".", ".."):
            raise ValueError(f'topic: "{self.topic}" is no name of a topic: write letters, digits, ".", "_" and "-"')
        at_least(0, self, "bound_ms", "lateness_ms")
        at_least(1, self, "keys_max")
        in_bounds("keys_max", self.keys_max, 1, KEYS_MAX)
        in_bounds("number of key fields", len(self.key), 0, KEY_FIELDS_MAX)
        in_bounds("number of measures", len(self.measures), 1, MEASURES_MAX)
        for name in (*self.key, *self.where):
            self.field(name)
        for condition in self.where.values():
            check_of(condition)
        for name in self.key:
            self._refuse_personal("key", name)
        for name, measure in self.measures.items():
            self._check_measure(f"measures.{name}", measure)

    def _check_measure(self, at: str, measure: Measure) -> None:
        found = ACCUMULATORS.get(measure.measure)
        if found is None:
            raise ValueError(f'{at}: there is no measure "{measure.measure}": write {", ".join(sorted(ACCUMULATORS))}')
        if found.reads in (Reads.NUMBER, Reads.TEXT) and not measure.field:
            raise ValueError(f"{at}: {measure.measure} needs a field")
        if found.reads not in (Reads.NUMBER, Reads.TEXT) and measure.field:
            raise ValueError(f"{at}: {measure.measure} reads no field")
        if bool(measure.of_which) != (found.reads is Reads.TEST):
            raise ValueError(f"{at}: of_which is for a ratio, which needs it")
        for name in (*([measure.field] if measure.field else ()), *measure.where, *measure.of_which):
            self.field(name)
        for condition in (*measure.where.values(), *measure.of_which.values()):
            check_of(condition)
        if measure.measure != _DIGESTS:
            self._refuse_personal(at, measure.field)

    def _refuse_personal(self, at: str, name: str) -> None:
        used = self.derive[name].fields if name in self.derive else (name,)
        for field in used:
            if field in PERSONAL:
                raise ValueError(
                    f"{at}: {field} is personal, and may only be counted as distinct values: a window is not forgotten "
                    "with its customer"
                )


def check_aggregates(aggregates: Sequence[WindowedAggregate], personal: Sequence[str] = ()) -> None:
    """Check aggregates beside each other, and against a shop's own personal fields.

    Raises:
        ValueError: two have one name, there are too many, or one groups by a personal field or keeps its values.
    """
    in_bounds("number of windows", len(aggregates), 0, AGGREGATES_MAX)
    names = [aggregate.name for aggregate in aggregates]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"windows: {name} is there twice")
    for aggregate in aggregates:
        measured = {found.field for found in aggregate.measures.values() if found.field and found.measure != _DIGESTS}
        fields = {*aggregate.key, *measured}
        used = fields | {field for name in fields & aggregate.derive.keys() for field in aggregate.derive[name].fields}
        for field in sorted(used - aggregate.derive.keys()):
            if any(_is_within(field, name) for name in personal):
                raise ValueError(f"{aggregate.name}: {field} is personal: it may only be counted as distinct values")


def _is_within(field: str, personal: str) -> bool:
    """Whether a field is a personal field, a part of it, or has it as a part; however their paths are written."""
    own, other = names_of(field), names_of(personal)
    length = min(len(own), len(other))
    return own[:length] == other[:length]


def _canonical(value: object) -> str:
    """Write a value so that equal ones are equal: dictionaries by key."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key!r}:{_canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return f"{type(value).__name__}:{value!r}"
