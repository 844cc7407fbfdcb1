"""Files of events are read line by line; long lines are split, in linear time."""

import time
from pathlib import Path

import pytest

from realtime_pipeline.infrastructure.files.event_lines import batches
from realtime_pipeline.infrastructure.files.lines import LINE_BYTES_MAX


def lines_of(file: Path) -> list[tuple[str | None, bytes]]:
    return [(line.origin, line.value) for batch in batches(str(file)) for line in batch]


def test_lines_have_line_numbers_and_long_lines_are_split(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    long = b"0123456789" * 200_000
    file.write_bytes(b"\n".join([b"first", b"", b" ", long, b"fifth\r", long[:-5]]))
    found = lines_of(file)
    assert [(origin, len(value)) for origin, value in found] == [
        ("events.jsonl:1", 5),
        *[("events.jsonl:4", size) for size in (LINE_BYTES_MAX, LINE_BYTES_MAX, 200_000)],
        ("events.jsonl:5", 5),
        *[("events.jsonl:6", size) for size in (LINE_BYTES_MAX, LINE_BYTES_MAX, 199_995)],
    ]
    assert b"".join(value for origin, value in found if origin == "events.jsonl:4") == long


def seconds(file: Path) -> float:
    times = []
    for _ in range(3):
        began_s = time.process_time()
        lines_of(file)
        times.append(time.process_time() - began_s)
    return max(min(times), 1e-3)


@pytest.mark.parametrize(
    "line", [b"x" * 1_000, b"x\n" * 500, b'{"a":"' + b"\\" * 994], ids=["long", "short", "cut off"]
)
def test_reading_time_is_linear_in_the_bytes(tmp_path: Path, line: bytes) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(line * 200)
    large.write_bytes(line * 1_600)
    assert seconds(large) <= 3 * 8 * seconds(small)
