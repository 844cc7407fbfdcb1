"""What commits owe their readers, as MessagePack: a map that begins with its format.

An entry is read by whoever takes a cell over, brought to the views and the outputs, and then trimmed. So what a newer
release noted in it must not be passed over: it would be lost.
"""

from typing import Final

import msgspec

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.infrastructure.codecs.formats import ENTRY, FORMAT, MarkedMaps, format_in
from realtime_pipeline.infrastructure.codecs.unknown_fields import names_in

_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
_decode: Final = msgspec.msgpack.Decoder(OutboxEntry).decode
_entries: Final = MarkedMaps(ENTRY, OutboxEntry(0, 0, 0, Watermark(), Deltas(), (), frozenset()))
encode_entry = _entries.encoder()
"""Write an entry."""


def decode_entry(value: bytes) -> OutboxEntry:
    """Read an entry.

    Raises:
        NewerRelease: a newer release wrote it, and this one cannot bring its readers all that it says.
        Damaged: no release wrote it.
    """
    found = format_in(value)
    try:
        written = ENTRY.check(found)
        entry = _decode(value)
        written_names, read_names = names_in(_unpack(value)) - {FORMAT}, names_in(_unpack(_pack(entry)))
        missing, more = read_names - written_names, written_names - read_names
        if missing and (more or written >= ENTRY.written):
            raise ValueError(f"it lacks {min(missing)}")
    except (ValueError, RecursionError) as error:
        raise ENTRY.refused(error, found) from None
    if more:
        raise NewerRelease(
            f"partition {entry.partition}: the kept entry of records {entry.from_position} to {entry.to_position} has "
            f"{min(more)}, which this release would lose: a newer release wrote it, so upgrade this program"
        )
    return entry
