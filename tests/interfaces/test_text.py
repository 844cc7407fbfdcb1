"""What commands print: for people, for other programs, and while they work."""

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.interfaces.cli.main import main
from tests.support.histories import event

AT_MS = 1_760_058_111_250
AT = "2025-10-10T01:01:51.250Z"
LINES = [
    event("1", at_ms=AT_MS, session="s1", product="mug", name="A müg", category="kitchen", price=12.5),
    event("2", "purchase", at_ms=AT_MS, session="s1", product="mug", price=12.5, quantity=2, order_id="o1")
    | {"context": {"country": "DE"}},
    event("3", user="bob", at_ms=AT_MS, product="mug"),
    event("4", user="bob", at_ms=AT_MS, product="jug"),
    event("5", "review", at_ms=AT_MS, product="mug", rating=4, text="keeps warm"),
]
UNKNOWN = {"in_stock": None, "stock": None, "image_url": None, "text": None}
MUG = {"product_id": "mug", "name": "A müg", "category": "kitchen", "price": 12.5} | UNKNOWN
JUG = {"product_id": "jug", "name": None, "category": None, "price": None} | UNKNOWN


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of events, published and processed."""
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*map(msgspec.json.encode, LINES), b"\xff{", b""]))
    assert main(("publish", str(file))) == 0
    assert main(("worker", "--until-caught-up")) == 0
    return file


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


def read(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The one JSON object that a command prints, in one line of ASCII."""
    (line,) = printed(capsys, *arguments, "--json").splitlines()
    assert line.isascii()
    return json.loads(line)


def test_lists_as_json_are_what_the_library_has(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = read(capsys, "recommend", "ada", "--limit", "1")["items"]
    assert item.pop("score") == 4.0
    assert item == {
        "product": JUG,
        "explanation": "you bought A müg: in 1 visit with the same interest this was chosen too",
        "adjustments": [],
        "reason": {"kind": "neighbours", "count": 1, "because_of": ["mug"], "category": None, "country": None},
    }
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline:
        assert read(capsys, "recommend", "ada") == pipeline.recommend("ada").as_dict()
        assert read(capsys, "similar", "mug") == pipeline.similar("mug").as_dict()
        trending = read(capsys, "trending", "--country", "DE")
        assert trending == pipeline.trending(country="DE").as_dict()
        assert read(capsys, "profile", "ada") == pipeline.profile("ada").as_dict()
    assert [entry["product"] for entry in trending["items"]] == [MUG]
    assert (trending["notes"], trending["experiment"], trending["variant"]) == ([], None, None)
    assert read(capsys, "top-rated") == {"items": [{"product": MUG, "average": 4.0, "ratings": 1}], "notes": []}


def test_a_profile_as_json_has_times_and_money(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = read(capsys, "profile", "ada")
    (category,) = profile.pop("categories")
    assert category["category"] == "kitchen"
    assert profile == {
        "customer_id": "ada",
        "first_seen": AT,
        "last_seen": AT,
        "events": {"product_viewed": 1, "product_purchased": 1, "product_reviewed": 1},
        "excluded": 0,
        "spend": 25.0,
        "units": 2,
        "orders": 1,
        "sessions": 1,
        "country": "DE",
        "visitors": [],
        "recent": [{"product": MUG, "touched_at": AT}],
        "bought": [{"product_id": "mug", "units": 2, "last_at": AT}],
        "reviews": [{"customer_id": "ada", "product_id": "mug", "rating": 4, "text": "keeps warm", "occurred_at": AT}],
    }


def test_a_time_that_was_handed_out_may_come_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = event("6", user="cleo", product="mug") | {"timestamp": read(capsys, "profile", "ada")["last_seen"]}
    shop.write_bytes(msgspec.json.encode(again))
    printed(capsys, "publish", str(shop))
    printed(capsys, "worker", "--until-caught-up")
    assert read(capsys, "profile", "cleo")["first_seen"] == AT


def test_dead_letters_as_json_keep_every_byte(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (letter,) = read(capsys, "dead-letters", "list")["dead_letters"]
    assert (letter["origin"], letter["value"], letter["value_base64"]) == ("events.jsonl:6", None, "/3s=")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", letter["appended_at"])


def test_an_empty_list_as_json_says_why(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(capsys, "trending", "--country", "FR") == {
        "items": [],
        "notes": ["nothing to recommend yet: nothing is trending in FR, but elsewhere; leave out the country"],
        "experiment": None,
        "variant": None,
    }


def test_a_receipt_as_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forgetting = read(capsys, "forget", "bob")["forgetting"]
    assert (forgetting["customer_id"], forgetting["events"], forgetting["sessions"]) == ("bob", 2, 1)
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline, pipeline.processing():
        receipt = read(capsys, "forget", "ada", "--wait", "30")
    assert (receipt["is_done"], receipt["progress"], receipt["records_before"]) == (True, "processed", 0)
    codes = ("profile", "sessions", "reviews", "dead_letters", "late_events", "snapshot_profiles")
    assert receipt["left"] == dict.fromkeys(codes, 0)
    assert receipt["forgetting"]["customer_id"] == "ada"


def test_people_read_times_and_not_numbers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"  seen       {AT} to {AT}\n" in printed(capsys, "profile", "ada")
    written = printed(capsys, "forget", "ada")
    assert re.match(
        r"ada is to be forgotten as of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z, as soon as a worker", written
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "missing.jsonl"),
        ("publish", "utf16.jsonl"),
        ("publish", "garbage.jsonl"),
        ("recommend", "ada"),
        ("similar", "mug"),
        ("trending",),
        ("top-rated",),
        ("profile", "ada"),
        ("dead-letters", "list"),
        ("forget", "ada"),
        ("rebuild", "--yes"),
        ("topics", "list"),
        ("topics", "describe"),
    ],
)
def test_a_command_that_can_only_fail_makes_no_database(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "utf16.jsonl").write_bytes(b"\xff\xfe")
    (tmp_path / "garbage.jsonl").write_bytes(b"garbage\n")
    before = sorted(tmp_path.iterdir())
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert (err.startswith("realtime-pipeline: "), err.count("\n")) == (True, 1)
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_file_is_all_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.jsonl")
    assert main(("publish", missing, "--database", str(tmp_path / "shop.db"))) == 1
    assert capsys.readouterr() == ("", f"realtime-pipeline: {missing} cannot be read: No such file or directory\n")


def numbers(text: str, words: str) -> list[int]:
    """The numbers that were shown before some words, in their order."""
    return [int(number.replace(",", "")) for number in re.findall(rf"([\d,]+) {words}", text)]


def test_progress_ends_at_the_number_that_is_true(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(b"\n".join(msgspec.json.encode(event(str(n), at_ms=AT_MS)) for n in range(15_001)))
    capsys.readouterr()
    assert main(("publish", str(shop))) == 0
    assert numbers(capsys.readouterr().err, "events published")[-1] == 15_001
    assert main(("worker", "--until-caught-up")) == 0
    assert numbers(capsys.readouterr().err, "records processed")[-1] == 15_001
    shop.write_bytes(msgspec.json.encode(LINES[0]))
    assert main(("publish", str(shop))) == 0
    assert capsys.readouterr().err == "1 event published\n"


def test_rich_is_imported_only_where_there_is_a_terminal_to_draw_on() -> None:
    program = (
        "import sys; from realtime_pipeline.interfaces.cli import main, progress; assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_progress_on_a_terminal_ends_at_the_number_that_is_true(shop: Path, term: str) -> None:
    shop.write_bytes(b"\n".join(msgspec.json.encode(event(str(n), at_ms=AT_MS)) for n in range(15_001)))
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "publish", str(shop)]
    ours, theirs = pty.openpty()
    shown, environment = b"", {**os.environ, "TERM": term}
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as run,
    ):
        os.close(theirs)
        with suppress(OSError):  # how a terminal ends on Linux
            while chunk := terminal.read(4096):
                shown += chunk
        out, _ = run.communicate(timeout=30)
    assert (run.returncode, out.split()[0]) == (0, b"15,001")
    assert numbers(shown.decode(), "events published")[-1] == 15_001
    assert (b"\x1b[" in shown) == (term == "xterm")
