"""What the use cases need of the codecs: plain functions, since there is one of each."""

from collections.abc import Callable

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Decoded, Record

Decode = Callable[[Record], Decoded]
"""Make of a record what it says. Never raises: what cannot be understood is a `Rejected` with a reason."""

RoutingKey = Callable[[bytes], str | None]
"""The key by which an event's bytes are routed: user id, else session id, else None (as also for garbage)."""

EncodeMessage = Callable[[Message], Outgoing]
"""The record of a message to another customer."""

EncodeTick = Callable[[int | None], bytes]
"""The bytes of a tick with a floor in ms."""
