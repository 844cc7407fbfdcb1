"""Files that grow, are renamed, replaced, rotated or cut off."""

from pathlib import Path

import pytest

from realtime_pipeline.application.errors import Unavailable, UnrecoverableState
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.support.event_files import CSV, JSONL, age, all_of, read_all, shown


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
