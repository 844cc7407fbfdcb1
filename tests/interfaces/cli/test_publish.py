"""`realtime-pipeline publish`: files, pipes, and lines that are no events."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.infrastructure.files.lines import LINE_BYTES_MAX
from tests.support.commands import LINES, ran


def test_what_comes_through_a_pipe_is_published_as_it_comes(shop: Path) -> None:
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "publish", "-"]
    with (
        Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as publisher,
    ):
        try:
            assert publisher.stdin is not None
            publisher.stdin.write(shop.read_bytes())
            publisher.stdin.flush()
            deadline = time.monotonic() + 20
            while sum(pipeline.process().values()) < 6 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert sum(pipeline.process().values()) == 6
            out, _ = publisher.communicate(b'{"event_type": "view", "timestamp": 1}', timeout=20)
        finally:
            publisher.kill()
        assert out.startswith(b"7 events were published")
        assert sum(pipeline.process().values()) == 7


def test_several_files_and_lines_without_an_end(tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = tmp_path / "long.jsonl"
    long.write_bytes(b"x" * 3_000_000 + b"\n" + msgspec.json.encode(LINES[0]))
    assert ran(capsys, "publish", str(shop), str(long))[0] == 0
    _, out, _ = ran(capsys, "worker", "--until-caught-up")
    assert "5 applied, 1 duplicate" in out
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline:
        longest = pipeline.container.database().rows("SELECT max(length(value)) FROM records")
        origins = pipeline.container.database().rows("SELECT DISTINCT origin FROM records WHERE origin LIKE 'long%'")
    assert LINE_BYTES_MAX < longest[0][0] < 1_000_000  # a piece, with its reason, is never more than a broker takes
    assert sorted(origins) == [("long.jsonl:1",), ("long.jsonl:2",)]


def test_a_file_may_be_called_anything(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = shop.with_name("\udcff.jsonl")
    odd.write_bytes(b"garbage\n" + msgspec.json.encode(LINES[0]))
    assert ran(capsys, "publish", str(odd))[0] == 0
    ran(capsys, "worker", "--until-caught-up")
    assert "?.jsonl:1  not_json: " in ran(capsys, "dead-letters", "list")[1]


def test_a_packed_file_is_unpacked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, cut = shop.with_suffix(".jsonl.gz"), shop.with_name("cut.gz")
    packed.write_bytes(gzip.compress(shop.read_bytes()))
    assert ran(capsys, "publish", str(packed))[:2] == (
        0,
        "6 events were published; the worker counts invalid ones as dead letters\n",
    )
    unnamed = packed.rename(shop.with_name("packed"))
    assert ran(capsys, "publish", str(unnamed))[1].startswith("6 events were published")
    whole = unnamed.read_bytes()
    for damaged in (whole[:-9], whole[:20] + bytes(9) + whole[29:], whole[:30] + bytes([whole[30] ^ 255]) + whole[31:]):
        cut.write_bytes(damaged)
        code, _, err = ran(capsys, "publish", str(cut))
        assert (code, err.splitlines()[-1].startswith(f"realtime-pipeline: {cut} cannot be read")) == (1, True)


def test_what_zstd_has_packed_is_unpacked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = zstandard.compress(shop.read_bytes())
    shop.write_bytes(packed)
    assert ran(capsys, "publish", str(shop))[0] == 0
    assert "5 applied" in ran(capsys, "worker", "--until-caught-up")[1]
    shop.write_bytes(packed[:-5])
    code, _, err = ran(capsys, "publish", str(shop))
    assert (code, "cannot be read: the compressed file ends in the middle" in err) == (1, True)
    shop.write_bytes(b"\x28\xb5\x2f\xfd\x04\x00\x00\n")
    code, _, err = ran(capsys, "publish", str(shop))
    assert (code, "cannot be read" in err) == (1, True)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_mark_of_its_encoding_is_no_part_of_a_file(
    shop: Path, capsys: pytest.CaptureFixture[str], pack: Callable[[bytes], bytes]
) -> None:
    event = msgspec.json.encode(LINES[0])
    shop.write_bytes(pack(b"\xef\xbb\xbf" + event + b"\n"))
    assert ran(capsys, "publish", str(shop))[1].startswith("1 event was published; ")
    assert "1 applied" in ran(capsys, "worker", "--until-caught-up")[1]


def test_nothing_is_published_where_one_of_the_files_is_missing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "publish", str(shop), "nowhere.jsonl")[0] == 1
    _, out, _ = ran(capsys, "worker", "--until-caught-up")
    assert out.startswith("0 records")


def test_what_a_pipe_with_a_name_brings_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    lines = b"".join(msgspec.json.encode(line) + b"\n" for line in LINES)
    writer = threading.Thread(target=pipe.write_bytes, args=(lines,))
    writer.start()
    code, out, _ = ran(capsys, "publish", str(pipe), "--database", str(tmp_path / "shop.db"))
    writer.join()
    assert (code, out.split()[0]) == (0, str(len(LINES)))


def test_without_standard_input_a_file_must_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = ran(capsys, "publish", "-", "--database", str(tmp_path / "shop.db"))
    assert (code, err.splitlines()[-1]) == (1, "realtime-pipeline: there is no standard input here: name a file")


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        (b"garbage\nmore\n", "notes.txt:1: not_json: "),
        (b"\n\n{}\n", "notes.txt:3: invalid_event_type: "),
        (b'{"event_type": "view", "userId": "ada", "timestamp": 1}\n' * 3, "notes.txt:1: incomplete_event: "),
    ],
)
def test_a_file_without_a_single_event_is_refused(
    shop: Path, capsys: pytest.CaptureFixture[str], lines: bytes, first: str
) -> None:
    other = shop.with_name("notes.txt")
    other.write_bytes(lines)
    code, out, err = ran(capsys, "publish", str(shop), str(other))
    assert (code, out.split()[0]) == (1, "6")  # the file before it is published
    assert err.splitlines()[-1].startswith(f"realtime-pipeline: not one line is an event; the first, {first}")
    assert ran(capsys, "worker", "--until-caught-up")[1].startswith("6 records")


def test_lines_before_the_first_event_are_published_with_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(b"garbage\n" * 3 + msgspec.json.encode(LINES[0]) + b"\nmore garbage\n")
    assert ran(capsys, "publish", str(shop))[:2] == (
        0,
        "5 events were published; the worker counts invalid ones as dead letters\n",
    )
    assert "1 applied" in ran(capsys, "worker", "--until-caught-up")[1]
    letters = ran(capsys, "dead-letters", "list")[1].splitlines()[::2]
    assert sorted(letter.split()[1] for letter in letters) == [f"events.jsonl:{line}" for line in (1, 2, 3, 5)]


def test_not_more_than_so_many_lines_are_held_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(b"garbage\n" * 10_001)
    code, out, err = ran(capsys, "publish", str(shop))
    assert (code, out.split()[0]) == (1, "10,001")
    assert "not one line is an event; its lines are published, and will be dead letters; the first" in err


def test_an_empty_file_is_no_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(b"\n \n")
    assert ran(capsys, "publish", str(shop))[:2] == (
        0,
        "0 events were published; the worker counts invalid ones as dead letters\n",
    )


def test_copies_that_a_worker_made_are_skipped(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = [
        LINES[0] | {"forwarded": [1, 2]},
        {"event_type": "history_merged", "event_id": "h", "user_id": "ada", "timestamp": 1},
        {"action": "history_merged"},
        LINES[0] | {"forwarded": None},
    ]
    shop.write_bytes(b"\n".join(map(msgspec.json.encode, copies)))
    assert ran(capsys, "publish", str(shop))[:2] == (
        0,
        (
            "3 lines are copies made by a worker: skipped\n"
            "1 event was published; the worker counts invalid ones as dead letters\n"
        ),
    )
    shop.write_bytes(msgspec.json.encode(copies[0]))
    assert ran(capsys, "publish", str(shop))[1].startswith("1 line is a copy made by a worker: skipped\n0 events ")


EVENT = msgspec.json.encode(LINES[0])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ((b"\xff\xfe" + (EVENT + b"\n").decode().encode("utf-16-le")), "is UTF-16: make it UTF-8 (iconv -f UTF-16"),
        ((EVENT + b"\n").decode().encode("utf-16-be"), "is UTF-16: make it UTF-8 (iconv -f UTF-16"),
        (b"[" + EVENT + b",\n" + EVENT + b"]", "is a JSON array: write one event a line (jq -c '.[]'"),
        (b" [\n  " + EVENT + b"\n]\n", "is a JSON array: write one event a line (jq -c '.[]'"),
        (b"\xef\xbb\xbf[\n", "is a JSON array: write one event a line (jq -c '.[]'"),
        (EVENT * 5, "has not one JSON object a line: rewrite it (jq -c ."),
        (b"\n" + EVENT + b"  " + EVENT + b"\n", "has not one JSON object a line: rewrite it (jq -c ."),
        (EVENT * 9_000, "has not one JSON object a line: rewrite it (jq -c ."),
        (b"{\n" + EVENT[1:-1] + b"\n}\n", "has not one JSON object a line: rewrite it (jq -c ."),
    ],
    ids=[
        "utf-16",
        "utf-16 without a mark",
        "array",
        "array of lines",
        "marked",
        "one line",
        "two",
        "large",
        "indented",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_is_written_in_another_way_is_refused_at_once(
    shop: Path, capsys: pytest.CaptureFixture[str], written: bytes, message: str, pack: Callable[[bytes], bytes]
) -> None:
    shop.write_bytes(pack(written))
    code, out, err = ran(capsys, "publish", str(shop))
    assert (code, out.split()[0]) == (1, "0")
    assert err.splitlines()[-1].startswith(f"realtime-pipeline: {shop} {message}")
    assert ran(capsys, "worker", "--until-caught-up")[1].startswith("0 records")


def test_a_publisher_that_is_ended_says_how_much_it_published(shop: Path) -> None:
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "publish", "-"]
    with (
        Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as publisher,
    ):
        try:
            assert publisher.stdin is not None
            deadline = time.monotonic() + 20
            for published in (1, 2):
                publisher.stdin.write(EVENT + b"\n")
                publisher.stdin.flush()
                while sum(pipeline.process().values()) < published and time.monotonic() < deadline:
                    time.sleep(0.02)
            publisher.terminate()
            out, err = publisher.communicate(timeout=20)
            assert out.startswith(b"2 events were published")
            assert err.decode().splitlines() == ["1 event published", "2 events published"]
            assert publisher.returncode == 128 + 15
        finally:
            publisher.kill()
