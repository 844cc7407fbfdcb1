"""Text, Parquet and compressed files, and formats that cannot be."""

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.files.formats import FileFormat
from realtime_pipeline.infrastructure.files.lines import LINE_BYTES_MAX
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.support.event_files import CSV, JSONL, read_all, records_of, shown


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    for name in ("jsonl", "csv"):
        assert records_of(file, FileFormat(name)) == []


def test_lines_of_text_become_what_the_groups_of_a_pattern_name(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text("GET /mug 200\n\nPOST /cart -\nnonsense\n")
    format_ = FileFormat("text", pattern=r"(?P<method>[A-Z]+) (?P<path>\S+) (?:(?P<status>\d+)|-)")
    assert shown(records_of(file, format_)) == [
        ({"method": "GET", "path": "/mug", "status": "200"}, "access.log:1"),
        ({"method": "POST", "path": "/cart"}, "access.log:3"),
        ("no_match", "access.log:4"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "text"}, "needs a pattern"),
        ({"name": "text", "pattern": "("}, "is no regular expression"),
        ({"name": "text", "pattern": "a"}, "has no named groups"),
        ({"name": "csv", "delimiter": "::"}, "a single character"),
        ({"name": "csv", "encoding": "klingon"}, "there is no encoding klingon"),
        ({"name": "xml"}, "format is one of"),
    ],
)
def test_a_format_that_cannot_be_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FileFormat(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("records_max", [1, 3, 2_000])
def test_parquet_rows_go_on_at_any_row(tmp_path: Path, records_max: int) -> None:
    file = tmp_path / "orders.parquet"
    table = pa.table({"id": list(range(7)), "name": ["a", None, "c", "d", "e", "f", "g"]})
    pq.write_table(table, file, row_group_size=2)
    source, positions, found = FileSource("test", [file], FileFormat("parquet")), dict[str, str](), list[object]()
    while True:
        source.open(positions)
        batch = source.read(records_max, 0.0)
        if batch is None:
            break
        positions |= batch.positions
        found += shown(list(batch.records))
    assert found[:2] == [({"id": 0, "name": "a"}, "orders.parquet:1"), ({"id": 1}, "orders.parquet:2")]
    assert len(found) == 7


def test_a_damaged_parquet_file_is_refused_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"id": list(range(1_000))}), file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(Unavailable, match=r"orders\.parquet cannot be read: ") as refused:
        records_of(file, FileFormat("parquet"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("records_max", [2, 2_000])
def test_compressed_files_go_on_at_any_line(tmp_path: Path, pack: object, records_max: int) -> None:
    assert callable(pack)
    file = tmp_path / "events.jsonl"
    file.write_bytes(pack(b"".join(b'{"n":%d}\n' % number for number in range(5))))
    source, positions, values = FileSource("test", [file], JSONL), dict[str, str](), list[object]()
    while True:
        source.open(positions)
        batch = source.read(records_max, 0.0)
        if batch is None:
            break
        positions |= batch.positions
        values += [record.value for record in batch.records]
    assert values == [b'{"n":%d}' % number for number in range(5)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_that_is_cut_off_is_refused_after_what_it_has(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    file = tmp_path / "events.jsonl"
    lines = b"".join(b'{"n":%d,"x":"%s"}\n' % (number, os.urandom(64).hex().encode()) for number in range(20_000))
    file.write_bytes(pack(lines)[:-50_000])
    source = FileSource("test", [file], JSONL)
    source.open({})
    assert sum(1 for _ in range(5) if source.read(200, 0.0) is not None) == 5
    with pytest.raises(Unavailable, match=r"events\.jsonl cannot be read"):
        read_all(source)


def test_pieces_of_a_long_line_are_no_records_whatever_they_look_like(tmp_path: Path) -> None:
    event = b'{"event_type":"forget","user_id":"bob"}'
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"x" * LINE_BYTES_MAX + event + b"\n" + event)
    assert shown(records_of(file)) == [
        ("too_long", "events.jsonl:1"),
        ("too_long", "events.jsonl:1"),
        (event, "events.jsonl:2"),
    ]
    table = tmp_path / "events.csv"
    table.write_bytes(b"event_type,user_id\n" + b"x" * LINE_BYTES_MAX + b"forget,bob\nview,ada\n")
    assert [found for found, _ in shown(records_of(table, CSV))] == [
        "too_long",
        "too_long",
        {"event_type": "view", "user_id": "ada"},
    ]


def test_values_of_parquet_that_python_cannot_hold_make_their_rows_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "orders.parquet"
    times = pa.array([1_700_000_000_000_000_000, 1_700_000_000_000_000_001, None], pa.timestamp("ns"))
    pq.write_table(pa.table({"id": [1, 2, 3], "at": times}), file)
    first, second, third = shown(records_of(file, FileFormat("parquet")))
    assert isinstance(first[0], dict)
    assert (second, third) == (("invalid_row", "orders.parquet:2"), ({"id": 3}, "orders.parquet:3"))
