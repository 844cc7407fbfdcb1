"""The folder of files keeps the contract of sinks; what is in it is what the how-to says."""

import fcntl
import json
import os
import threading
from pathlib import Path

import msgspec
import pytest

from realtime_pipeline.application.errors import Damaged, NewerRelease, Unavailable, UnrecoverableState, WrongLog
from realtime_pipeline.application.ports.sink import Delivery, Row, Sink
from realtime_pipeline.domain.shop.events import Event, EventKind, ProductId, anonymous
from realtime_pipeline.infrastructure.files.sink import MANIFEST, FileSink
from tests.contracts.sink import LOG_ID, SinkContract, delivery, row
from tests.support.histories import NOW_MS

HOW_TO = (Path(__file__).parents[3] / "docs/how-to/deliver-to-a-sink.md").read_text("utf-8")


class _Line(msgspec.Struct):
    partition: int
    position: int
    event: msgspec.Raw


class TestFileSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _sink(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "events"
        self.sink = FileSink(self.folder)
        self.sink.bind(LOG_ID)

    def reopened(self) -> Sink:
        return FileSink(self.folder)

    def stored(self) -> list[tuple[int, int, bytes]]:
        lines = [line for file in sorted(self.folder.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
        read = [msgspec.json.decode(line, type=_Line) for line in lines]
        return [(line.partition, line.position, bytes(line.event)) for line in read]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With three files of partition 0, and one of partition 1."""
    sink = FileSink(tmp_path / "a" / "b")
    sink.bind(LOG_ID)
    for begin, end in ((0, 5), (5, 7), (7, 9)):
        sink.write(delivery(begin, end, begin))
    sink.write(delivery(0, 4, 2, partition=1))
    return tmp_path / "a" / "b"


def test_positions_are_not_read_while_another_process_writes(folder: Path) -> None:
    """A listing of the folder may have a later file, and miss an earlier file that appears meanwhile."""
    found: list[object] = []
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (folder / segment(0, 5, 7)).rename(folder / "later")
    reader = threading.Thread(target=lambda: found.append(FileSink(folder).positions([0])))
    reader.start()
    reader.join(0.2)
    (folder / "later").rename(folder / segment(0, 5, 7))
    os.close(descriptor)
    reader.join(10)
    assert found == [{0: 9}]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def segment(partition: int, begin: int, end: int) -> str:
    return f"events-{partition:05}-{begin:020}-{end:020}.jsonl"


def test_a_batch_is_a_file_that_is_named_by_partition_and_positions(folder: Path) -> None:
    batches = ((0, 0, 5), (0, 5, 7), (0, 7, 9), (1, 0, 4))
    assert names(folder) == [*(segment(*batch) for batch in batches), MANIFEST]
    assert json.loads((folder / MANIFEST).read_text("utf-8")) == {"format": [1, 1], "log": LOG_ID}


def test_a_line_has_what_the_how_to_shows(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    sink.bind(LOG_ID)
    bought = Event("b-1", EventKind.PRODUCT_PURCHASED, anonymous("s1"), NOW_MS, "s1", ProductId("mug"), amount=250_000)
    sink.write(Delivery(0, 0, 2, (Row(1, NOW_MS, bought, b'{"type":"buy","user_id":null}'),)))
    line = json.loads((tmp_path / segment(0, 0, 2)).read_text("utf-8"))
    shown = json.loads(HOW_TO.partition("```json\n")[2].partition("```")[0])
    assert line.keys() == shown.keys()
    assert list(line) == list(shown)
    assert (line["format"], line["customer_id"], line["amount"], line["quantity"]) == (1, "anonymous:s1", 25.0, 1)
    assert line["event"] == {"type": "buy", "user_id": None}
    assert line["occurred_at"] == "2025-10-09T08:53:20.000Z"


def test_other_files_are_left_alone(folder: Path) -> None:
    others = ["notes.txt", segment(0, 9, 12) + ".1234abcd.part", "events-0-0-99.jsonl", f"x{segment(0, 9, 12)}"]
    for name in others:
        (folder / name).write_text("mine")
    sink = FileSink(folder)
    assert sink.positions([0, 1]) == {0: 9, 1: 4}
    sink.write(delivery(9, 10, 9))
    assert set(others) < set(names(folder))


def test_the_oldest_files_may_be_moved_away(folder: Path) -> None:
    (folder / segment(0, 0, 5)).rename(folder / "loaded.jsonl")
    (folder / segment(0, 5, 7)).unlink()
    assert FileSink(folder).positions([0]) == {0: 9}


@pytest.mark.parametrize(
    ("missing", "more", "said"),
    [((0, 5, 7), None, "records are missing in"), (None, (0, 3, 6), "records are there twice in")],
)
def test_a_gap_and_an_overlap_are_refused_in_one_line(
    folder: Path, missing: tuple[int, int, int] | None, more: tuple[int, int, int] | None, said: str
) -> None:
    if missing is not None:
        (folder / segment(*missing)).unlink()
    if more is not None:
        (folder / segment(*more)).touch()
    sink, before = FileSink(folder), names(folder)
    for call in (lambda: sink.positions([0]), lambda: sink.write(delivery(9, 10, 9))):
        with pytest.raises(UnrecoverableState, match=f"{said} .* bring back the folder") as refused:
            call()
        assert "\n" not in str(refused.value)
    assert names(folder) == before


def test_a_manifest_that_is_missing_damaged_newer_or_of_another_log_is_refused(folder: Path) -> None:
    manifest = folder / MANIFEST
    with pytest.raises(WrongLog, match="has the events of log log-1, not of log-2: name a new folder"):
        FileSink(folder).bind("log-2")
    for written, error in (
        (b'{"format":[2,2],"log":"log-1"}', NewerRelease),
        (b'{"log":"log-1"}', Damaged),
        (b'{"format":[1,1]}', Damaged),
        (b"", Damaged),
    ):
        manifest.write_bytes(written)
        with pytest.raises(error):
            FileSink(folder).bind(LOG_ID)
    manifest.write_bytes(b'{"format":[2,1],"log":"log-1","more":1}')
    FileSink(folder).bind(LOG_ID)
    manifest.unlink()
    with pytest.raises(Damaged, match=r"has events and no sink\.json"):
        FileSink(folder).bind(LOG_ID)


def test_a_folder_that_cannot_be_written_is_unavailable_and_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "file").touch()
    with pytest.raises(Unavailable, match="file cannot be used"):
        FileSink(folder.parent / "file").bind(LOG_ID)
    before, sink = names(folder), FileSink(folder)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left on device"):
            sink.write(delivery(9, 10, 9))
    assert names(folder) == before
    sink.write(delivery(9, 10, 9))
    assert sink.positions([0]) == {0: 10}


def test_a_file_is_synced_before_it_has_its_name_and_the_folder_after(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = list[tuple[bool, bool]](), os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        is_folder = os.path.samestat(os.fstat(descriptor), folder.stat())
        synced.append((is_folder, (folder / segment(0, 9, 10)).exists()))

    monkeypatch.setattr(os, "fsync", noted)
    FileSink(folder).write(delivery(9, 10, 9))
    assert synced == [(False, False), (True, True)]
    assert row(9).document in (folder / segment(0, 9, 10)).read_bytes()
