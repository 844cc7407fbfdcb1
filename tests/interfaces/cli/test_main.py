"""The `realtime-pipeline` command, as its users know it."""

from pathlib import Path

import msgspec
import pytest

from realtime_pipeline.interfaces.cli.main import main
from tests.support.commands import LINES, ran


def test_from_a_file_to_recommendations(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "publish", str(shop))
    assert (code, out.splitlines()[0].split()[0]) == (0, "6")
    code, out, _ = ran(capsys, "worker", "--until-caught-up")
    assert code == 0
    assert out == (
        f"6 records processed; {shop.parent / 'shop.db'} has now\n"
        "6 records: 5 applied, 0 duplicates, 0 ignored, 0 forgotten, 0 forwarded, 1 dead letter, 0 control\n"
    )
    code, out, _ = ran(capsys, "recommend", "ada", "--limit", "1")
    assert code == 0
    assert out.splitlines()[0].startswith("  1. A jug")
    assert out.splitlines()[1].strip() == "you bought A mug: in 1 visit with the same interest this was chosen too"
    code, out, _ = ran(capsys, "profile", "ada")
    assert code == 0
    assert "bought     1 piece in 1 order for 12.50" in out
    assert "rated      A mug ★★★★★: keeps warm" in out


def test_a_backup_is_a_database_of_its_own(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    copy = shop.parent / "copy.db"
    code, out, _ = ran(capsys, "backup", str(copy))
    assert code == 0
    assert out.startswith(f"{copy}: {copy.stat().st_size:,} bytes, checked; 6 records in the log, 2 customers in the")
    code, out, _ = ran(capsys, "profile", "ada", "--database", str(copy))
    assert (code, "bought     1 piece" in out) == (0, True)
    code, out, err = ran(capsys, "backup", str(copy))
    assert (code, out) == (1, "")
    assert err == f"realtime-pipeline: {copy} exists already: name another file, or remove it first\n"


def test_a_command_needs_a_database(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_LOG", "memory")
    code, out, err = ran(capsys, "publish", str(shop))
    assert (code, out) == (1, "")
    assert "set log to sqlite or kafka, and store to sqlite or redis" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("publish", "nowhere.jsonl"), "nowhere.jsonl cannot be read: No such file or directory"),
        (("profile", "zoe", "--settings", "none.toml"), "none.toml cannot be read"),
        (("worker", "--database", "/nowhere/shop.db"), "the database /nowhere/shop.db cannot be used"),
        (("forget", "a\nb"), "there is no database"),
        (("rebuild", "--yes"), "there is no database"),
        (("topics", "list"), "topics are in Kafka, and log is sqlite: set log = kafka and kafka.brokers"),
        (("recommend", "ada", "--database", "typo.db"), "there is no database typo.db yet: publish events first"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = ran(capsys, *arguments)
    assert code == 1
    assert err.splitlines()[-1].startswith(f"realtime-pipeline: {message}")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [(), ("dance",), ("recommend", "ada", "--limit", "0"), ("recommend", "ada", "--country", "Germany"), ("publish",)]
    + [("forget", "ada", "--wait", wait) for wait in ("nan", "-1", "soon")]
    + [("topics", "delete", "user_events")],
)
def test_what_is_not_understood_exits_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_ignored_types_are_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    types = ["video_play"] * 3 + ["Purchase", "\x1b[31m", ""] + [f"type {number:02}" for number in range(64)]
    shop.write_bytes(b"\n".join(msgspec.json.encode(LINES[0] | {"event_type": type_}) for type_ in types))
    ran(capsys, "publish", str(shop))
    text = ran(capsys, "worker", "--until-caught-up")[1].splitlines()[-1]
    assert text.startswith('ignored types: other 4, video_play 3, "" 1, [31m 1, Purchase 1, type 00 1, ')
    assert text.endswith("; map them in [event_types]")
    named = dict(entry.rsplit(" ", 1) for entry in text.removeprefix("ignored types: ").partition(";")[0].split(", "))
    assert (len(named), sum(map(int, named.values()))) == (65, 70)
    assert named["video_play"] == "3"
    assert ran(capsys, "worker", "--until-caught-up")[1].count("\n") == 2  # nothing new was ignored
