"""Files as a source: what all sources keep, of a file that grows and of a folder."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.ports.source import Source, SourceRecord
from realtime_pipeline.infrastructure.files.source import FileSource
from tests.contracts.source import SourceContract
from tests.support.event_files import CSV, JSONL, records_of


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


@pytest.mark.parametrize("missing", ["nowhere.jsonl", "folder"])
def test_a_named_file_that_cannot_be_read_is_an_error(tmp_path: Path, missing: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        records_of(tmp_path / missing)
