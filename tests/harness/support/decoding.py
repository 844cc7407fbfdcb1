"""Documents for the oracle's decoder, and what it decodes them to."""

import json

from harness.oracle.decoding.events import OracleDecoder
from harness.oracle.decoding.schema import EventSchema
from harness.oracle.visitor_profile import OracleDecoded
from realtime_pipeline.domain.shop.events import Event
from realtime_pipeline.domain.streams.records import Record, Rejected
from realtime_pipeline.infrastructure.codecs.events import EventLimits

AT_MS = 1_700_000_000_000
DAY_MS = 86_400_000
LIMITS = EventLimits(record_bytes_max=4_000, label_length_max=10, text_length_max=20, amount_max=1_000)
decode = OracleDecoder(EventSchema(LIMITS, {"video_play": "view", "view": "purchase"}))
plain = OracleDecoder(EventSchema(EventLimits()))


def decoded(document: object, key: bytes | None = None, decoder: OracleDecoder = plain) -> OracleDecoded:
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decoder(Record(2, 17, key, value, AT_MS))


def event_of(document: object, decoder: OracleDecoder = plain) -> Event:
    found = decoded(document, decoder=decoder)
    assert isinstance(found, Event), found
    return found


def is_rejected(document: object, decoder: OracleDecoder = plain) -> bool:
    found = decoded(document, decoder=decoder)
    assert isinstance(found, Event | Rejected), found
    if isinstance(found, Rejected):
        code, _, explanation = found.reason.partition(": ")
        assert code
        assert explanation
    return isinstance(found, Rejected)


def view(properties: object = None, **changes: object) -> dict[str, object]:
    return {"event_id": "e1", "event_type": "view", "user_id": "ada", "timestamp": AT_MS, "properties": properties} | (
        changes
    )


def purchase(properties: object = None, **changes: object) -> dict[str, object]:
    return view(properties, event_type="purchase", **changes)


def review(**properties: object) -> dict[str, object]:
    return view({"product_id": "mug", "rating": 4, **properties}, event_type="review")
