"""The values of views in Redis, encoded and decoded: rows of products, source partitions, lists of sessions."""

import struct
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.listings import Listing
from realtime_pipeline.domain.views.product_stats import ProductState
from realtime_pipeline.infrastructure.codecs.formats import LISTING, PRODUCT, format_in

_NO_FACT: Final = ("", -1)
_SOURCE_NUMBERS: Final = 6
_decode_times = msgspec.json.Decoder(list[int]).decode


def parse_source(raw: bytes | None) -> tuple[int, int, Watermark]:
    """Parse the epoch, position and watermark of a source partition."""
    if raw is None:
        return 0, 0, Watermark()
    epoch, position, *times = map(int, raw.split()[:_SOURCE_NUMBERS])  # a newer release may append more
    return epoch, position, Watermark(*times)


class Row(NamedTuple):
    """A product without its ratings; the time of an unknown name, category or price is -1."""

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
    """A row as it is stored. A newer release may have appended elements; merges keep them."""

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
    """Decode the first element of a row only: a list reads hundreds of rows.

    Raises:
        NewerRelease, Damaged: as `decode_row`.
    """
    try:
        return _decode_begin(row).interactions
    except ValueError as error:
        raise PRODUCT.refused(error, format_in(row)) from None


def decode_row(row: bytes) -> StoredRow:
    """Decode a row.

    Raises:
        NewerRelease: a newer release wrote it in a format that this release cannot read.
        Damaged: no release wrote it.
    """
    try:
        return _decode_row(row)
    except ValueError as error:
        raise PRODUCT.refused(error, format_in(row)) from None


def row_of(state: ProductState) -> Row:
    """Make the row of a product. Prices are text, because Lua's numbers are exact to 2^53 only."""
    name, name_ms = state.name or _NO_FACT
    category, category_ms = state.category or _NO_FACT
    price, price_ms = state.price or _NO_FACT
    return Row(state.interactions, str(name), name_ms, str(category), category_ms, str(price), price_ms)


def product_state(row: bytes, ratings: bytes | None, rating_sum: bytes | None) -> ProductState:
    """Decode a product from its row and its ratings.

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


class _StoredListing(msgspec.Struct, array_like=True, gc=False):
    """A listing as it is stored. A newer release may have appended elements; merges keep them."""

    facts: dict[str, tuple[str, int]]
    sold: int


_decode_listing = msgspec.msgpack.Decoder(_StoredListing).decode


def decode_listing(row: bytes) -> Listing:
    """Decode what the catalogue states of a product.

    Raises:
        NewerRelease, Damaged: as `decode_row`.
    """
    try:
        stored = _decode_listing(row)
    except ValueError as error:
        raise LISTING.refused(error, format_in(row)) from None
    return Listing(dict(stored.facts), stored.sold)


def parse_sessions(reply: Sequence[bytes]) -> dict[SessionKey, int]:
    """Parse sessions and their times from alternating members and scores.

    All members are converted by one call: that costs a third of a call for each.
    """
    members = unhexlify(b"".join(reply[::2]))
    keys = struct.unpack(f">{len(members) // 8}Q", members)
    return dict(zip(keys, _decode_times(b"[%b]" % b",".join(reply[1::2])), strict=True))
