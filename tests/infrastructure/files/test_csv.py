"""Rows of CSV: what is a row, what cannot be read, and what that costs."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.infrastructure.files.formats import ROW_LINES_MAX, FileFormat
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.support.event_files import CSV, records_of, shown


def test_csv_rows_are_mappings_without_empty_fields(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b'\xef\xbb\xbfid,name,price\r\n1,"A ""red"" mug, large",2.5\r\n2,,\r\n\r\n3,"two\nlines",7\n')
    assert shown(records_of(file, CSV)) == [
        ({"id": "1", "name": 'A "red" mug, large', "price": "2.5"}, "orders.csv:2"),
        ({"id": "2"}, "orders.csv:3"),
        ({"id": "3", "name": "two\nlines", "price": "7"}, "orders.csv:5"),
    ]


def test_rows_that_cannot_be_read_do_not_swallow_the_rows_after_them(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    rows = [b"id,name", b"1", b"2,a,b", b'3,"open', b"4,\xff", b'5,a"b', b"6,six"]
    file.write_bytes(b"\n".join(rows) + b"\n" + b"7,seven\n" * ROW_LINES_MAX)
    found = shown(records_of(file, CSV))
    assert found[:6] == [
        ("ragged_row", "orders.csv:2"),
        ("ragged_row", "orders.csv:3"),
        ("invalid_row", "orders.csv:4"),
        ("not_text", "orders.csv:5"),
        ({"id": "5", "name": 'a"b'}, "orders.csv:6"),
        ({"id": "6", "name": "six"}, "orders.csv:7"),
    ]
    assert len(found) == 6 + ROW_LINES_MAX


@pytest.mark.parametrize("records_max", [1, 2, 3, 2_000])
def test_reading_csv_goes_on_at_a_row(tmp_path: Path, records_max: int) -> None:
    file = tmp_path / "orders.csv"
    file.write_text('id,name\n1,"a\nb"\n2,b\n3,"c\n\nd"\n4,d')
    source, positions, ids = FileSource("test", [file], CSV), dict[str, str](), list[object]()
    for _ in range(20):
        source.open(positions)
        batch = source.read(records_max, 0.0)
        if batch is None:
            break
        positions |= batch.positions
        ids += [record.value["id"] for record in batch.records if isinstance(record.value, Mapping)]
    assert ids == ["1", "2", "3", "4"]


def test_other_delimiters_headers_and_encodings(tmp_path: Path) -> None:
    file = tmp_path / "orders.txt"
    file.write_bytes("1;Käse;2,50\n".encode("latin-1"))
    format_ = FileFormat("csv", delimiter=";", header=("id", "name", "price"), encoding="latin-1")
    assert shown(records_of(file, format_)) == [({"id": "1", "name": "Käse", "price": "2,50"}, "orders.txt:1")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,id\n1,2\n", "its first row names a column twice"),
        (b"id;name\n1;2\n", "its first row is no header with ',' between names"),
        (b"\xff\xfei\x00d\x00", "is UTF-16"),
        (b"PAR1....", "is Parquet"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_in_a_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidEvents, match=message) as refused:
        records_of(file, CSV)
    assert "\n" not in str(refused.value)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8), max_size=30),
    st.integers(1, 9),
)
def test_cells_written_by_a_csv_writer_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], records_max: int
) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "cell"])
    writer.writerows([str(number), cell] for number, cell in enumerate(cells))
    file = tmp_path_factory.mktemp("csv") / "cells.csv"
    file.write_bytes(text.getvalue().encode())
    found = records_of(file, CSV, records_max)
    assert [record.value for record in found] == [
        {"id": str(number)} | ({"cell": cell} if cell else {}) for number, cell in enumerate(cells)
    ]


def test_time_is_linear_in_the_bytes_of_unclosed_quotes(tmp_path: Path) -> None:
    """Ten times the rows take about ten times as long, not a hundred times."""
    seconds = []
    for rows in (5_000, 50_000):
        file = tmp_path / f"{rows}.csv"
        file.write_bytes(b"id,name\n" + b'1,"open\n2,a\n' * rows)
        began = time.process_time()
        assert len(records_of(file, CSV)) > rows
        seconds.append(time.process_time() - began)
    assert seconds[1] < 40 * seconds[0]


def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes("Größe,Preis\n1,2\n".encode("latin-1"))
    with pytest.raises(
        InvalidEvents, match=r"its first row is no header: not_text: the row is not utf-8: see --encoding"
    ):
        records_of(file, CSV)
    assert len(records_of(file, FileFormat("csv", encoding="latin-1"))) == 1
