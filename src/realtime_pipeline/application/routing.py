"""Which partition a key lies in. Producer and worker must agree, so this is part of a log's identity."""

from zlib import crc32

CONSISTENT = "consistent"
"""CRC-32 of the key modulo the number of partitions: librdkafka's partitioner of that name."""


def partition_for(key: bytes, partitions: int) -> int:
    """Find the partition of a key."""
    return crc32(key) % partitions
