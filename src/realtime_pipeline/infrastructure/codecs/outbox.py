"""What commits owe their readers, as MessagePack: a map that begins with its format.

An entry is read by whoever takes a cell over, brought to the views and the outputs, and then trimmed. So what a newer
release noted in it must not be passed over: it would be lost. That is why an entry with sums is of another format than
an entry without, one with sales or facts of a catalogue of a third, and one with late events of a fourth: releases that
do not know them stop at it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from realtime_pipeline.application.errors import NewerRelease
from realtime_pipeline.application.ports.cell_store import OutboxEntry
from realtime_pipeline.application.ports.event_publisher import Outgoing
from realtime_pipeline.domain.shop.events import CustomerId, ProductId
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.late_events import LateEvent
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.activity import Activity, CountryKey, HourKey
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.domain.views.sales import SaleKey
from realtime_pipeline.domain.views.session_index import TouchKey
from realtime_pipeline.domain.views.sums import SumKey
from realtime_pipeline.infrastructure.codecs.formats import (
    BEFORE_FORMATS,
    CATALOGUE_ENTRY,
    ENTRY,
    FORMAT,
    PLAIN_ENTRY,
    SUMS_ENTRY,
    MarkedMaps,
    format_in,
)
from realtime_pipeline.infrastructure.codecs.unknown_fields import names_in


class _DeltasMap(msgspec.Struct):
    """The fields of the deltas' map, in their order."""

    activity: dict[HourKey, Activity] = {}
    by_country: dict[CountryKey, Activity] = {}
    index: dict[TouchKey, int] = {}
    products: dict[ProductId, ProductState] = {}


class _DeltasWithSums(_DeltasMap):
    sums: dict[SumKey, int] = {}


class _DeltasWithCatalogue(_DeltasWithSums):
    listings: dict[ProductId, Listing] = {}
    sales: dict[SaleKey, int] = {}


class _EntryMap(msgspec.Struct, kw_only=True):
    """The fields of an entry's map, in their order."""

    at_ms: int = 0
    dead_letters: tuple[DeadLetter, ...]
    deltas: _DeltasMap
    forgotten: frozenset[CustomerId]
    from_position: int
    outgoing: tuple[Outgoing, ...] = ()
    partition: int
    to_position: int
    watermark: Watermark


class _EntryWithLateEvents(_EntryMap, kw_only=True):
    late_events: tuple[LateEvent, ...] = ()


class _ReadEntry(_EntryWithLateEvents, kw_only=True):
    deltas: _DeltasWithCatalogue


def _map_of(entry: OutboxEntry) -> _EntryMap:
    """An entry as the map that is written."""
    deltas = entry.deltas
    tables = deltas.activity, deltas.by_country, deltas.index, deltas.products
    written = _DeltasMap(*tables)
    if deltas.listings or deltas.sales:
        written = _DeltasWithCatalogue(*tables, deltas.sums, deltas.listings, deltas.sales)
    elif deltas.sums:
        written = _DeltasWithSums(*tables, deltas.sums)
    fields = _EntryMap(
        at_ms=entry.at_ms,
        dead_letters=entry.dead_letters,
        deltas=written,
        forgotten=entry.forgotten,
        from_position=entry.from_position,
        outgoing=entry.outgoing,
        partition=entry.partition,
        to_position=entry.to_position,
        watermark=entry.watermark,
    )
    if entry.late_events:
        return _EntryWithLateEvents(**msgspec.structs.asdict(fields), late_events=entry.late_events)
    return fields


def _entry_of(read: _ReadEntry) -> OutboxEntry:
    """The entry that was read from a map."""
    deltas = read.deltas
    return OutboxEntry(
        read.partition,
        read.from_position,
        read.to_position,
        read.watermark,
        Deltas(
            deltas.products,
            deltas.activity,
            deltas.index,
            deltas.by_country,
            deltas.sums,
            deltas.listings,
            deltas.sales,
        ),
        read.dead_letters,
        read.forgotten,
        read.outgoing,
        read.at_ms,
        read.late_events,
    )


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
_decode: Final = msgspec.msgpack.Decoder(_ReadEntry).decode
_SAMPLE: Final = _map_of(OutboxEntry(0, 0, 0, Watermark(), Deltas(), (), frozenset()))
_encode_plain: Final[Callable[[object], bytes]] = MarkedMaps(PLAIN_ENTRY, _SAMPLE).encoder()
_encode_with_sums: Final[Callable[[object], bytes]] = MarkedMaps(SUMS_ENTRY, _SAMPLE).encoder()
_encode_with_catalogue: Final[Callable[[object], bytes]] = MarkedMaps(CATALOGUE_ENTRY, _SAMPLE).encoder()
_LATE_SAMPLE: Final = _EntryWithLateEvents(**msgspec.structs.asdict(_SAMPLE))
_encode_with_late_events: Final[Callable[[object], bytes]] = MarkedMaps(ENTRY, _LATE_SAMPLE).encoder()


def encode_entry(entry: OutboxEntry) -> bytes:
    """Write an entry, in the format of the oldest releases that lose nothing of it."""
    encode = _encode_with_sums if entry.deltas.sums else _encode_plain
    if entry.deltas.listings or entry.deltas.sales:
        encode = _encode_with_catalogue
    if entry.late_events:
        encode = _encode_with_late_events
    return encode(_map_of(entry))


def decode_entry(value: bytes) -> OutboxEntry:
    """Read an entry.

    Raises:
        NewerRelease: a newer release wrote it, and this one cannot bring its readers all that it says.
        Damaged: no release wrote it.
    """
    found = format_in(value)
    try:
        written = ENTRY.check(found)
        entry = _entry_of(_decode(value))
        written_names, read_names = names_in(_unpack(value)) - {FORMAT}, names_in(_unpack(_pack(_map_of(entry))))
        missing, more = read_names - written_names, written_names - read_names
        if missing and (more or written > BEFORE_FORMATS):
            raise ValueError(f"it lacks {min(missing)}")
    except (ValueError, RecursionError) as error:
        raise ENTRY.refused(error, found) from None
    if more:
        raise NewerRelease(
            f"partition {entry.partition}: the kept entry of records {entry.from_position} to {entry.to_position} has "
            f"{min(more)}, which this release would lose: a newer release wrote it, so upgrade this program"
        )
    return entry
