"""The files of a folder: which are read, when, and that none holds up the others."""

import gzip
import os
from pathlib import Path

import pytest

from realtime_pipeline.infrastructure.files import source as file_source
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.support.event_files import JSONL, age, all_of, read_all, shown


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
