"""The chunks of panes as bytes: the id of a chunk is MessagePack; a chunk is a mark, and decimal digits or bytes."""

from collections.abc import Iterable
from typing import Final

import msgspec

from realtime_pipeline.domain.analytics.measures.accumulator import Chunk
from realtime_pipeline.domain.analytics.panes import ChunkId, Chunks

_NUMBER: Final = b"i"
_BYTES: Final = b"b"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, tuple[str | None, ...] | None, int, str]).decode


def encode_chunk_id(chunk_id: ChunkId) -> bytes:
    """Encode the id of a chunk."""
    return _encode(chunk_id)


def encode_chunk(chunk: Chunk) -> bytes:
    """Encode a chunk; whole numbers of any size are exact."""
    return _NUMBER + b"%d" % chunk if isinstance(chunk, int) else _BYTES + chunk


def decode_chunks(pairs: Iterable[tuple[bytes, bytes]]) -> Chunks:
    """Decode chunks with their ids."""
    return {
        ChunkId(*_decode(chunk_id)): int(value[1:]) if value[:1] == _NUMBER else value[1:] for chunk_id, value in pairs
    }
