"""Event documents as they were published, for sinks."""

import msgspec

from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.infrastructure.codecs.formats import MESSAGE
from realtime_pipeline.infrastructure.codecs.messages import MESSAGE_FORMAT

_MARK = f'"{MESSAGE_FORMAT}"'.encode()


def find_document(value: bytes) -> bytes | None:
    """The bytes of an event without blanks between their parts, digit for digit; None for a message of a worker.

    Called with the bytes of records that the decoder took for events.
    """
    if _MARK in value and _is_message(msgspec.json.decode(value)):
        return None
    return msgspec.json.format(value, indent=-1)


def _is_message(document: dict[str, object]) -> bool:
    found = document.get(MESSAGE_FORMAT)
    try:
        return found is not None and MESSAGE.check(found) > 0
    except NewerRelease:
        return True
    except Damaged:
        return False  # somebody's own field of that name
