"""What the use cases need of the codecs: plain functions, since there is one of each."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.streams.messages import Message
from realtime_pipeline.domain.streams.records import Decoded, Record, Tick

Decode = Callable[[Record], Decoded]
"""Decode a record. Never raises: a record that is no valid event becomes a `Rejected` with a reason."""


class Route(NamedTuple):
    """The key of an event in the log, and whether the event is a copy that only workers may publish.

    The key is the user id, else the session id, else None, as for bytes that are no event.
    """

    key: str | None
    is_workers: bool = False


FindRoute = Callable[[bytes], Route]
"""Find the route of event bytes, valid or not."""

EncodeEvent = Callable[[Mapping[str, object]], bytes]
"""The bytes of an event document.

Raises TypeError, ValueError, OverflowError or RecursionError where JSON cannot hold it.
"""

ParseDocument = Callable[[bytes], Mapping[str, object]]
"""The JSON object in the bytes of a record.

Raises ValueError where they are none; the message is the reason of a dead letter.
"""

FindKey = Callable[[Mapping[str, object]], str | None]
"""The routing key of an event document; None where it has no customer."""

EncodeMessage = Callable[[Message], Outgoing]
"""The record of a message to another customer."""

EncodeTick = Callable[[Tick, int], Outgoing]
"""The record of a tick for a partition."""

EncodeReplay = Callable[[bytes, str], bytes]
"""The bytes of an event that is published again: under the id given, and marked as `replayed`."""

FindEventId = Callable[[bytes], str | None]
"""The event id that a record claims, valid or not; None where it claims none that can be read."""

FindDocument = Callable[[bytes], bytes | None]
"""The event document in the bytes of an event's record, as `Row` has it; None for a message of a worker."""
