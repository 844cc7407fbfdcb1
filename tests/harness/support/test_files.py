"""Opening compressed files, and sorting records by event time."""

import gc
import gzip
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harness.support.errors import HarnessError
from harness.support.files import in_event_time_order, opened
from harness.support.source_record import SourceRecord

CONTENT = b"first\nsecond\r\n\nlast without an end" + b"." * 300_000


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def in_two_frames(content: bytes) -> bytes:
    return zstd(content[:10]) + zstd(content[10:])


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("plain.csv", bytes),
        ("zipped.csv.gz", gzip.compress),
        ("zipped.csv.zst", zstd),
        ("joined.csv.zst", in_two_frames),
    ],
)
def test_a_file_is_read_whatever_its_compression(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(compress(CONTENT))
    with opened(path) as stream:
        assert list(stream) == CONTENT.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("not-zipped.gz", b"plain text"),
        ("not-zipped.zst", b"plain text"),
        ("cut-off.gz", gzip.compress(CONTENT, mtime=0)[:-20]),
        ("cut-off.zst", zstd(CONTENT)[:-5]),
        ("damaged.gz", gzip.compress(CONTENT, mtime=0)[:40] + b"\xff" * 60),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HarnessError) as raised, opened(path) as stream:
        stream.read()
    assert str(raised.value).startswith(f"{path}: cannot be read: ")
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(HarnessError, match=r"nowhere\.csv: cannot be read: No such file or directory"),
        opened(tmp_path / "nowhere.csv"),
    ):
        pass


def record(time: int | None, origin: str) -> SourceRecord:
    return SourceRecord(time, origin.encode(), origin)


def files_of(times: list[list[int | None]]) -> list[SourceRecord]:
    return [
        record(time, f"{file}.csv:{row}") for file, rows in enumerate(times) for row, time in enumerate(rows, start=2)
    ]


def expected_order(times: list[list[int | None]]) -> list[SourceRecord]:
    """The definition: each record's own time, else its predecessor's, else 0; then file, then line."""
    carried: list[int] = []
    for rows in times:
        own = itertools.accumulate(rows, lambda last, time: last if time is None else time, initial=0)
        carried.extend(itertools.islice(own, 1, None))
    records = files_of(times)
    return [records[index] for index in sorted(range(len(records)), key=lambda index: (carried[index], index))]


few_times = st.lists(st.lists(st.none() | st.integers(-3, 3), max_size=30), max_size=4)


@given(few_times, st.integers(1, 40))
def test_records_are_sorted_by_time_then_file_then_line(times: list[list[int | None]], run_records: int) -> None:
    assert list(in_event_time_order(files_of(times), run_records)) == expected_order(times)


@given(st.lists(st.integers(-(2**53), 2**53) | st.none()), st.binary(), st.text(), st.integers(1, 5))
def test_spilled_records_are_unchanged(times: list[int | None], value: bytes, name: str, run_records: int) -> None:
    records = [SourceRecord(time, value, f"{name}:{number}") for number, time in enumerate(times, start=1)]
    assert list(in_event_time_order(records, run_records)) == list(in_event_time_order(records, len(records) + 1))


def test_a_record_without_a_time_stays_behind_the_one_before_it() -> None:
    records = [record(None, "a:1"), record(5, "a:2"), record(None, "a:3"), record(None, "b:1"), record(1, "b:2")]
    assert [kept.origin for kept in in_event_time_order(records)] == ["a:1", "b:1", "b:2", "a:2", "a:3"]


def test_a_second_file_of_the_same_name_starts_at_time_0() -> None:
    records = [record(5, "day.csv:2"), record(None, "day.csv:2")]
    assert [kept.occurred_at_ms for kept in in_event_time_order(records)] == [None, 5]


def test_a_run_has_at_least_one_record() -> None:
    with pytest.raises(ValueError, match="should be 1 or more"):
        list(in_event_time_order([], 0))


@pytest.fixture
def spill_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_sorting_to_the_end_leaves_no_temporary_file(spill_folder: Path) -> None:
    assert len(list(in_event_time_order(files_of([[3, 2, 1] * 1_000]), 100))) == 3_000
    assert list(spill_folder.iterdir()) == []


def test_an_abandoned_sort_leaves_no_temporary_file(spill_folder: Path) -> None:
    order = in_event_time_order(files_of([[3, 2, 1]]), 1)
    assert next(order).occurred_at_ms == 1
    del order
    gc.collect()
    assert list(spill_folder.iterdir()) == []


def test_an_error_while_reading_leaves_no_temporary_file(spill_folder: Path) -> None:
    def breaking() -> Iterator[SourceRecord]:
        yield from files_of([[3, 2, 1]])
        raise HarnessError("the file is cut off")

    with pytest.raises(HarnessError, match="cut off"):
        list(in_event_time_order(breaking(), 1))
    assert list(spill_folder.iterdir()) == []


def test_a_disk_error_is_one_clear_line(spill_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(spill_folder / "removed"))
    with pytest.raises(HarnessError, match="removed: cannot hold the records to sort"):
        list(in_event_time_order(files_of([[2, 1]]), 1))
