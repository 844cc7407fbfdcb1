"""A windowed aggregate, compiled: what it reads of an event, as functions."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.fields import Get
from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Reads, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure
from realtime_pipeline.domain.analytics.measures.table import ACCUMULATORS
from realtime_pipeline.domain.conditions import Check, Condition, check_of
from realtime_pipeline.domain.shop.events import Event

Key = tuple[str | None, ...]
"""The values of the key's fields as text; None where an event has none."""
Read = Callable[[Event], Value | None]
"""Reads what an event has for a measure; None where it is not measured."""

_EVENT_TYPE: Final = "event_type"


class CompiledAggregate:
    """A definition and its functions; `allowed_ms` is how far a window's end may lie behind the partition's time."""

    __slots__ = ("_checks", "_key", "allowed_ms", "cut", "definition", "fingerprint", "measures", "reads", "types")

    def __init__(self, definition: WindowedAggregate) -> None:
        self.definition = definition
        self.fingerprint = definition.fingerprint
        self.cut = definition.window.cut()
        self.allowed_ms = definition.bound_ms + definition.lateness_ms
        where = dict(definition.where)
        wanted = where.pop(_EVENT_TYPE, None)
        self.types = _texts(wanted)
        """The types of the events that can be counted; None for any."""
        if wanted is not None and self.types is None:
            where[_EVENT_TYPE] = wanted
        self._checks = _checks(definition, where)
        self._key = tuple(definition.field(name).text() for name in definition.key)
        self.measures = tuple(sorted(definition.measures.items()))
        """By name, whatever their order in the definition: chunks are stored by their numbers here."""
        self.reads: tuple[Read, ...] = tuple(_read(definition, measure) for _, measure in self.measures)

    def final_ms(self, window_ms: int) -> int:
        """The time from which a window never changes again."""
        return self.cut.end_of(window_ms) + self.allowed_ms

    def last_final_ms(self, pane_ms: int) -> int:
        """The time from which no window that contains a pane ever changes again."""
        return self.final_ms(self.cut.windows_of(pane_ms)[-1])

    def becomes_final(self, after_ms: int, until_ms: int) -> bool:
        """Whether windows become final after a time and until another, whether they have events or not."""
        if until_ms < self.allowed_ms or until_ms <= after_ms:
            return False
        last_end_ms = self.cut.pane_of(until_ms - self.allowed_ms)  # windows end where panes begin
        return last_end_ms + self.allowed_ms > after_ms

    def next_due_ms(self, panes_ms: Iterable[int], after_ms: int) -> int | None:
        """The first time after another at which a window that contains one of the panes closes or becomes final."""
        closing_ms = self.definition.bound_ms
        due = [
            end_ms + wait_ms
            for pane_ms in panes_ms
            if self.last_final_ms(pane_ms) > after_ms
            for end_ms in map(self.cut.end_of, self.cut.windows_of(pane_ms))
            for wait_ms in (closing_ms, self.allowed_ms)
            if end_ms + wait_ms > after_ms
        ]
        return min(due, default=None)

    def counts(self, event: Event) -> bool:
        """Whether all conditions on the fields hold; that on its type is checked by `types`."""
        for get, check in self._checks:  # noqa: SIM110 - it runs for every event, and `all` would take twice as long
            if not check(get(event)):
                return False
        return True

    def key_of(self, event: Event) -> Key:
        """The event's key."""
        return tuple([text(event) for text in self._key])

    def new(self) -> list[Accumulator]:
        """Empty states, a measure each."""
        return [ACCUMULATORS[measure.measure](measure) for _, measure in self.measures]


def _read(definition: WindowedAggregate, measure: Measure) -> Read:
    """What a measure reads, where its conditions hold."""
    reads = ACCUMULATORS[measure.measure].reads
    read: Read
    if reads is Reads.NUMBER:
        read = definition.field(measure.field).number()
    elif reads is Reads.TEXT:
        read = definition.field(measure.field).text()
    elif reads is Reads.TEST:
        test = _checks(definition, measure.of_which)
        read = lambda event: int(all(check(get(event)) for get, check in test))  # noqa: E731
    else:
        read = lambda _: 1  # noqa: E731
    if not measure.where:
        return read
    is_of_type = measure.where.keys() == {_EVENT_TYPE} and _EVENT_TYPE not in definition.derive
    types = _texts(measure.where[_EVENT_TYPE]) if is_of_type else None
    if types is not None:  # the most frequent condition; a test of its own would take as long as the measure
        type_of = definition.field(_EVENT_TYPE).get
        return lambda event: read(event) if type_of(event) in types else None
    checks = _checks(definition, measure.where)
    return lambda event: read(event) if all(check(get(event)) for get, check in checks) else None


def _checks(definition: WindowedAggregate, where: dict[str, Condition]) -> Sequence[tuple[Get, Check]]:
    """Conditions compiled; numbers with a unit of their own are compared in whole units."""
    return tuple((_comparable(definition, name), check_of(condition)) for name, condition in where.items())


def _comparable(definition: WindowedAggregate, name: str) -> Get:
    field = definition.field(name)
    if field.unit <= 1:
        return field.get
    get, unit = field.get, field.unit
    return lambda event: None if (value := get(event)) is None else value / unit  # type: ignore[operator]


def _texts(condition: Condition | None) -> frozenset[str] | None:
    """The texts that a condition asks for; None where it asks for something else."""
    texts = (condition,) if isinstance(condition, str) else condition
    if isinstance(texts, tuple) and all(isinstance(text, str) for text in texts):
        return frozenset(str(text) for text in texts)
    return None
