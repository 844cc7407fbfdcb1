"""Keys are put into partitions as Kafka's own producers do it."""

import pytest

from realtime_pipeline.application.routing import PARTITIONERS, murmur2


@pytest.mark.parametrize(
    ("key", "hashed"),  # org.apache.kafka.common.utils.UtilsTest
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0xFFFF_FFFF


@pytest.mark.parametrize(("name", "partition"), [("consistent", 17), ("murmur2", 16)])
def test_a_key_lies_where_the_partitioner_says(name: str, partition: int) -> None:
    assert PARTITIONERS[name](b"customer-0000001", 24) in range(24)
    assert PARTITIONERS[name](b"abc", 24) == {"consistent": 0x352441C2 % 24, "murmur2": 479470107 % 24}[name]
