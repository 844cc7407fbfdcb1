"""What commits owe their readers, as MessagePack: a map that begins with its format.

An entry is read by whoever takes a cell over, brought to the views and the outputs, and then trimmed. So what a newer
release noted in it must not be passed over: it would be lost.
"""

from typing import Final

import msgspec

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ports.cell_store import Entry
from realtime_pipeline.domain.streams.effects import Deltas
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.codecs.formats import ENTRY, MarkedMaps, format_in

_decode: Final = msgspec.msgpack.Decoder(Entry).decode
_entries: Final = MarkedMaps(ENTRY, Entry(0, 0, 0, Watermark(), Deltas(), (), frozenset()))
encode_entry = _entries.encode


def decode_entry(value: bytes) -> Entry:
    """Read an entry.

    Raises:
        NewerRelease: a newer release wrote it, and this one cannot bring its readers all that it says.
        Damaged: no release wrote it.
    """
    found = format_in(value)
    try:
        written = ENTRY.check(found)
        entry = _decode(value)
        length = len(encode_entry(entry)) - (0 if found is not None else _entries.head_bytes)
        if len(value) < length and written >= ENTRY.written:
            raise ValueError("it lacks fields")
    except (ValueError, RecursionError) as error:
        raise ENTRY.refused(error, found) from None
    if len(value) > length:
        raise NewerRelease(
            f"partition {entry.partition}: the kept entry of records {entry.from_position} to {entry.to_position} says "
            "more than this release reads, and would be lost: a newer release wrote it, so upgrade this program"
        )
    return entry
