"""Decoding single events in tests: documents to events, or to the reason of a dead letter."""

from typing import Any

import msgspec

from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.records import Record, Rejected
from realtime_pipeline.infrastructure.codecs.events import EventDecoder, EventLimits

AT_MS = 1_700_000_000_000


decode = EventDecoder(EventLimits(), {})


def decoded(document: object, decoder: EventDecoder = decode) -> object:
    value = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return decoder(Record(2, 17, None, value, AT_MS))


def event_of(document: object) -> Event:
    result = decoded(document)
    assert isinstance(result, Event), result
    return result


def reason_of(document: object, decoder: EventDecoder = decode) -> str:
    result = decoded(document, decoder)
    assert isinstance(result, Rejected), result
    return result.reason


def an_event(kind: str, more: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """Return an event document of ada; `more` are further top-level fields."""
    document = {"event_id": "e1", "event_type": kind, "user_id": "ada", "timestamp": AT_MS}
    return document | ({"properties": properties} if properties else {}) | (more or {})
