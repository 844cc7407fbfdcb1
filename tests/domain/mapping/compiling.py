"""Mappings compiled for tests."""

from collections.abc import Mapping
from typing import Any

from realtime_pipeline.domain.mapping.compiled import CompiledMapping
from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, ExchangeRate, Field, FieldSpec

AT_MS = 1_760_000_000_000


def compiled(
    fields: Mapping[str, FieldSpec],
    *events: EventRule,
    currency: str = "",
    rates: tuple[ExchangeRate, ...] = (),
    **others: Any,
) -> CompiledMapping:
    """A mapping named `shop`; without a field for the type its events are purchases."""
    if "event_type" not in fields:
        fields = {"event_type": Field(constant="purchase"), **fields}
    mapping = EventMapping(fields=dict(fields), events=events or (EventRule(),), **others)
    return CompiledMapping("shop", mapping, Rates(currency, rates))


def properties(mapping: CompiledMapping, record: dict[str, Any]) -> dict[str, Any]:
    """The properties of the only event of a record."""
    (event,) = mapping(record).events
    found = event.get("properties", {})
    assert isinstance(found, dict)
    return found
