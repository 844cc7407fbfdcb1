"""Files as a source: the contract, formats, files that grow, come, move and are cut off."""

import gzip
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline.application.errors import InvalidEvents, PipelineError, Unavailable, UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.files import source as file_source
from realtime_pipeline.infrastructure.files.formats import ROW_LINES_MAX, FileFormat
from realtime_pipeline.infrastructure.files.lines import LINE_BYTES_MAX
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.contracts.source import SourceContract

CSV, JSONL = FileFormat("csv"), FileFormat()


def read_all(source: Source, positions: Positions | None = None, records_max: int = 2_000) -> list[SourceRecord]:
    records = list[SourceRecord]()
    try:
        source.open(positions or {})
        while (batch := source.read(records_max, 0.0)) is not None:
            records += batch.records
    except PipelineError:
        source.close()
        raise
    return records


def records_of(path: Path, format_: FileFormat = JSONL, records_max: int = 2_000) -> list[SourceRecord]:
    return read_all(FileSource("test", [path], format_), records_max=records_max)


def shown(records: list[SourceRecord]) -> list[tuple[object, str]]:
    """The values and origins of records; of unreadable ones the reason's code."""
    return [
        (
            found.value.reason.partition(":")[0] if isinstance(found.value, Unreadable) else found.value,
            found.origin,
        )
        for found in records
    ]


def age(path: Path, seconds: float = 60) -> None:
    """Make a file look as if it had not changed for some time."""
    at_s = time.time() - seconds
    os.utime(path, (at_s, at_s))


class OfFiles(SourceContract):
    path: Path

    def name_in(self, record: SourceRecord) -> str:
        value = msgspec.json.decode(record.value) if isinstance(record.value, bytes) else record.value
        assert isinstance(value, Mapping)
        return str(value["name"])


class TestFollowedFile(OfFiles):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "events.jsonl"
        self.path.touch()

    def source(self) -> Source:
        return FileSource("shop", [self.path], JSONL, follow=True)

    def fill(self, *names: str) -> None:
        with self.path.open("a") as file:
            file.writelines(f'{{"name": "{name}"}}\n' for name in names)


class TestFolder(OfFiles):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "inbox"
        self.path.mkdir()
        self.files = 0

    def source(self) -> Source:
        return FileSource("shop", (), CSV, self.path)

    def fill(self, *names: str) -> None:
        for name in names:
            self.files += 1
            (self.path / f"{self.files:04}.csv").write_text(f"name,count\n{name},1\n")


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


@pytest.mark.parametrize("missing", ["nowhere.jsonl", "folder"])
def test_a_named_file_that_cannot_be_read_is_an_error(tmp_path: Path, missing: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        records_of(tmp_path / missing)


def test_a_last_line_without_an_end_waits_in_a_followed_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"n":1}\n{"n":')
    source = FileSource("test", [file], JSONL, follow=True)
    assert [record.value for record in read_all(source)] == [b'{"n":1}']
    with file.open("ab") as opened:
        opened.write(b"2}\n")
    batch = source.read(10, 5.0)
    assert batch is not None
    assert shown(list(batch.records)) == [(b'{"n":2}', "events.jsonl:2")]
    source.close()


def test_a_rotated_file_is_read_to_its_end_before_the_new_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"day":1,"n":1}\n')
    source, positions = FileSource("test", [file], JSONL, follow=True), dict[str, str]()
    source.open({})
    batch = source.read(10, 0.0)
    assert batch is not None
    positions |= batch.positions
    source.close()
    with file.open("ab") as opened:
        opened.write(b'{"day":1,"n":2}\n')
    file.rename(tmp_path / "events.jsonl.1")
    file.write_bytes(b'{"day":2,"n":1}\n')
    values = list[object]()
    for _ in range(2):
        source.open(positions)
        while (batch := source.read(10, 0.3)) is not None:
            values += [record.value for record in batch.records]
            positions |= batch.positions
        source.close()
    assert values == [b'{"day":1,"n":2}', b'{"day":2,"n":1}']


def test_a_file_that_lost_its_end_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    lines = b"".join(b'{"n":%d}\n' % number for number in range(500))
    file.write_bytes(lines)
    source, positions = FileSource("test", [file], JSONL, follow=True), dict[str, str]()
    source.open({})
    while (batch := source.read(100, 0.0)) is not None:
        positions |= batch.positions
    file.write_bytes(lines[:2_000])
    source.open(positions)
    with pytest.raises(UnrecoverableState, match="has 2,000 bytes, and 4,890 of it were published"):
        source.read(10, 0.0)


def test_hidden_and_partial_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    for name in (".hidden", "a.tmp", "b.part", "c.jsonl"):
        (tmp_path / name).write_text('{"n":1}\n')
    (tmp_path / "sub").mkdir()
    found = read_all(FileSource("test", (), JSONL, tmp_path))
    assert [record.origin for record in found] == ["c.jsonl:1"]


def test_a_file_of_a_folder_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"n":1}\n')[:12])
    (tmp_path / "b.jsonl").write_text('{"n":2}\n')
    age(tmp_path / "a.jsonl.gz")
    source = FileSource("test", (), JSONL, tmp_path)
    assert [record.origin for record in read_all(source)] == ["b.jsonl:1"]
    assert "a.jsonl.gz cannot be read" in source.warning()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"n":1}\n'))
    age(tmp_path / "a.jsonl.gz", 30)
    batch = source.read(10, 5.0)
    assert batch is not None
    assert shown(list(batch.records)) == [(b'{"n":1}', "a.jsonl.gz:1")]


def test_a_compressed_file_of_a_folder_is_read_when_it_does_not_change_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "SETTLED_S", 0.5)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"n":1}\n'))
    source = FileSource("test", (), JSONL, tmp_path)
    source.open({})
    assert source.read(10, 0.0) is None
    batch = source.read(10, 10.0)
    assert batch is not None
    assert [record.value for record in batch.records] == [b'{"n":1}']
    assert source.read(10, 0.7) is None


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


@pytest.mark.parametrize("rows", [2, 9])
def test_an_export_that_replaced_another_is_read_from_its_start(tmp_path: Path, rows: int) -> None:
    """Both begin with the same header, which is longer than what is compared."""
    header = ",".join(f"a_column_with_a_long_name_{number}" for number in range(60)).encode() + b"\n"
    file, positions = tmp_path / "orders.csv", dict[str, str]()
    for day in (1, 2):
        fresh = tmp_path / "orders.part"
        fresh.write_bytes(header + b"".join(b",".join([b"%d-%d" % (day, n)] * 60) + b"\n" for n in range(rows * day)))
        fresh.rename(file)
        source = FileSource("test", [file], CSV)
        source.open(positions)
        read = 0
        while (batch := source.read(2_000, 0.0)) is not None:
            positions |= batch.positions
            read += len(batch.records)
        assert read == rows * day


def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes("Größe,Preis\n1,2\n".encode("latin-1"))
    with pytest.raises(
        InvalidEvents, match=r"its first row is no header: not_text: the row is not utf-8: see --encoding"
    ):
        records_of(file, CSV)
    assert len(records_of(file, FileFormat("csv", encoding="latin-1"))) == 1


def test_a_line_that_goes_on_after_it_was_published_is_not_read_as_another(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"id,price\n1,12")
    source, positions = FileSource("test", [file], CSV), dict[str, str]()
    source.open({})
    batch = source.read(10, 0.0)
    assert batch is not None
    positions |= batch.positions
    with file.open("ab") as opened:
        opened.write(b"34.50\n2,7\n")
    source.open(positions)
    with pytest.raises(Unavailable, match="line 2 was published without its end, which came later"):
        source.read(10, 0.0)


def all_of(source: Source, positions: dict[str, str]) -> list[str]:
    """The origins of all records that come within a moment; the positions go on."""
    source.open(positions)
    origins = list[str]()
    while (batch := source.read(100, 0.3)) is not None:
        origins += [record.origin for record in batch.records]
        positions |= batch.positions
    source.close()
    return origins


def test_a_renamed_file_of_a_folder_is_not_read_again(tmp_path: Path) -> None:
    log, positions = tmp_path / "app.log", dict[str, str]()
    source = FileSource("test", (), JSONL, tmp_path)
    for day in range(3):
        with log.open("a") as opened:
            opened.write(f'{{"day":{day}}}\n')
        assert all_of(source, positions) == ["app.log:1"]
        log.rename(tmp_path / f"app.log.{day}")
        assert all_of(source, positions) == []


@pytest.mark.parametrize("follow", [True, False])
def test_several_rotations_while_nobody_read_lose_nothing(tmp_path: Path, follow: bool) -> None:
    log, positions = tmp_path / "app.log", dict[str, str]()
    source = FileSource("test", [log], JSONL, None, follow)
    log.write_text('{"n":1}\n')
    assert all_of(source, positions) == ["app.log:1"]
    for number in range(2, 5):
        with log.open("a") as opened:
            opened.write(f'{{"n":{number}}}\n')
        age(log, 60 - number)
        for rotated in range(3, 0, -1):
            if (before := tmp_path / f"app.log.{rotated}").exists():
                before.rename(tmp_path / f"app.log.{rotated + 1}")
        log.rename(tmp_path / "app.log.1")
    log.write_text('{"n":5}\n')
    assert all_of(source, positions) == ["app.log.3:2", "app.log.2:1", "app.log.1:1", "app.log:1"]
    assert all_of(source, positions) == []


def test_names_of_files_may_be_any_bytes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_text('{"n":1}\n')
    positions = dict[str, str]()
    source = FileSource("test", (), JSONL, tmp_path)
    assert all_of(source, positions) == ["caf?.jsonl:1"]
    assert all_of(source, positions) == []
    assert all(part.isascii() for part in positions)


def test_a_file_of_a_folder_that_is_of_another_format_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"n":1}]\n')
    (tmp_path / "b.jsonl").write_text('{"n":2}\n')
    source = FileSource("test", (), JSONL, tmp_path)
    assert [record.origin for record in read_all(source)] == ["b.jsonl:1"]
    assert "a.jsonl is a JSON array" in source.warning()
    source.close()
