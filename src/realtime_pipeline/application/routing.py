"""Partitioners: which partition a key belongs to. Producers and workers must agree; it is part of a log's identity."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final
from zlib import crc32

CONSISTENT: Final = "consistent"
"""CRC-32 of the key modulo the number of partitions: librdkafka's partitioner of that name."""

MURMUR2: Final = "murmur2"
"""MurmurHash2 of the key, its sign cleared, modulo the number of partitions: the default of producers in Java."""

MISROUTED: Final = "misrouted"
"""The code of a dead letter's reason: the record is in a partition that its key does not belong to."""

_MASK: Final = 0xFFFF_FFFF
_SEED: Final = 0x9747_B28C
_MULTIPLIER: Final = 0x5BD1_E995
_KNOWN_KEYS_MAX: Final = 100_000


def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of a key by CRC-32."""
    return crc32(key) % partitions


def murmur2(key: bytes) -> int:
    """Hash a key as `org.apache.kafka.common.utils.Utils.murmur2` does: MurmurHash2 (A. Appleby), 32 bits, unsigned."""
    hashed = (_SEED ^ len(key)) & _MASK
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        hashed = (hashed * _MULTIPLIER & _MASK) ^ word
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


@lru_cache(_KNOWN_KEYS_MAX)
def murmur2_partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of a key by MurmurHash2; cached, since it is slow in Python."""
    return (murmur2(key) & 0x7FFF_FFFF) % partitions


PARTITIONERS: Final[Mapping[str, Callable[[bytes, int], int]]] = {
    CONSISTENT: partition_for,
    MURMUR2: murmur2_partition_for,
}
