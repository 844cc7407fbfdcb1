"""What the views keep in Redis, as values."""

import struct
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.codecs.formats import PRODUCT, format_in

_UNSAID: Final = ("", -1)
_SOURCE_WORDS: Final = 6
_decode_times = msgspec.json.Decoder(list[int]).decode


def source_in(said: bytes | None) -> tuple[int, int, Watermark]:
    """Epoch, position and watermark of a source partition."""
    if said is None:
        return 0, 0, Watermark()
    epoch, position, *times = map(int, said.split()[:_SOURCE_WORDS])  # a newer release may say more behind
    return epoch, position, Watermark(*times)


class Row(NamedTuple):
    """What is known of a product besides its ratings; of what nobody has said the time is -1."""

    interactions: int
    name: str
    name_ms: int
    category: str
    category_ms: int
    price: str
    price_ms: int


class _Begin(msgspec.Struct, array_like=True, gc=False):
    interactions: int


class StoredRow(msgspec.Struct, array_like=True, gc=False):
    """A row as it lies in the store: a newer release may have added elements behind, which Redis keeps."""

    interactions: int
    name: str
    name_ms: int
    category: str
    category_ms: int
    price: str
    price_ms: int


_decode_row = msgspec.msgpack.Decoder(StoredRow).decode
_decode_begin = msgspec.msgpack.Decoder(_Begin).decode


def interactions_in(row: bytes) -> int:
    """What a row begins with; hundreds are read for a list, and the rest of them is passed over.

    Raises:
        NewerRelease, Damaged: as `decode_row`.
    """
    try:
        return _decode_begin(row).interactions
    except ValueError as error:
        raise PRODUCT.refused(error, format_in(row)) from None


def decode_row(row: bytes) -> StoredRow:
    """Read a row.

    Raises:
        NewerRelease: a newer release wrote it in a way that this one cannot read.
        Damaged: no release wrote it.
    """
    try:
        return _decode_row(row)
    except ValueError as error:
        raise PRODUCT.refused(error, format_in(row)) from None


def row_of(state: ProductState) -> Row:
    """A product as it is written; prices are text, as Lua's numbers are exact to 2^53 only."""
    name, name_ms = state.name or _UNSAID
    category, category_ms = state.category or _UNSAID
    price, price_ms = state.price or _UNSAID
    return Row(state.interactions, str(name), name_ms, str(category), category_ms, str(price), price_ms)


def state_in(row: bytes, ratings: bytes | None, rating_sum: bytes | None) -> ProductState:
    """A product as it was written.

    Raises:
        NewerRelease, Damaged: as `decode_row`.
    """
    stored = decode_row(row)
    return ProductState(
        stored.interactions,
        int(ratings or 0),
        int(rating_sum or 0),
        None if stored.name_ms < 0 else (stored.name, stored.name_ms),
        None if stored.category_ms < 0 else (stored.category, stored.category_ms),
        None if stored.price_ms < 0 else (int(stored.price), stored.price_ms),
    )


def listed_in(answer: Sequence[bytes]) -> dict[SessionKey, int]:
    """Sessions and times, where members and scores take turns; all at once is a third of the cost of one by one."""
    members = unhexlify(b"".join(answer[::2]))
    keys = struct.unpack(f">{len(members) // 8}Q", members)
    return dict(zip(keys, _decode_times(b"[%b]" % b",".join(answer[1::2])), strict=True))
