"""What the views keep in Redis, as values."""

import struct
from binascii import unhexlify
from collections.abc import Sequence

import msgspec

from realtime_pipeline.domain.shop.product import Fact, ProductState
from realtime_pipeline.domain.shop.session import SessionKey
from realtime_pipeline.domain.streams.watermark import Watermark

_decode_times = msgspec.json.Decoder(list[int]).decode


def source_in(said: bytes | None) -> tuple[int, int, Watermark]:
    """Epoch, position and watermark of a source partition."""
    if said is None:
        return 0, 0, Watermark()
    epoch, position, *times = map(int, said.split())
    return epoch, position, Watermark(*times)


def state_in(
    interactions: bytes, ratings: bytes | None, rating_sum: bytes | None, *facts: bytes | None
) -> ProductState:
    """A product: its numbers, then name, category and price."""
    name, category, price = map(fact_in, facts)
    cost = None if price is None else (int(price[0]), price[1])
    return ProductState(int(interactions), int(ratings or 0), int(rating_sum or 0), name, category, cost)


def fact_in(said: bytes | None) -> Fact | None:
    """What was said last of a product, and when."""
    if said is None:
        return None
    at_ms, _, value = said.decode().partition(" ")
    return value, int(at_ms)


def listed_in(answer: Sequence[bytes]) -> dict[SessionKey, int]:
    """Sessions and times, where members and scores take turns; all at once is a third of the cost of one by one."""
    members = unhexlify(b"".join(answer[::2]))
    keys = struct.unpack(f">{len(members) // 8}Q", members)
    return dict(zip(keys, _decode_times(b"[%b]" % b",".join(answer[1::2])), strict=True))
