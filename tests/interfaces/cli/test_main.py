"""The `realtime-pipeline` command, as its users know it."""

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

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.infrastructure.files.event_lines import LINE_BYTES_MAX
from realtime_pipeline.interfaces.cli.main import main
from tests.support.histories import event

LINES = [
    event("1", at_ms=1_000, session="s1", product="mug", name="A mug", category="kitchen", price=12.5),
    event("2", "purchase", at_ms=2_000, session="s1", product="mug", price=12.5, order_id="o1"),
    event("3", user="bob", at_ms=3_000, product="mug"),
    event("4", user="bob", at_ms=4_000, product="jug", name="A jug"),
    event("5", "review", at_ms=5_000, product="mug", rating=5, text="keeps warm"),
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*map(msgspec.json.encode, LINES), b"", b"garbage", b""]))
    return file


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


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


def test_rules_for_a_list_come_from_a_file(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    rules = tmp_path / "rules.toml"
    rules.write_text('exclude = ["jug"]\nprice_max = 5.0\n')
    code, out, _ = ran(capsys, "recommend", "zoe", "--looking-at", "mug", "--rules", str(rules))
    assert (code, out.splitlines()[0].partition(":")[0]) == (0, "exclude left nothing")
    rules.write_text("prize_max = 5.0\n")
    code, _, err = ran(capsys, "recommend", "zoe", "--rules", str(rules))
    assert (code, "there is no rules.prize_max" in err) == (1, True)
    rules.write_text("diversity = 7\n")
    assert "diversity must be at most 1" in ran(capsys, "recommend", "zoe", "--rules", str(rules))[2]


def test_products_like_one(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    code, out, _ = ran(capsys, "similar", "mug", "--limit", "1")
    assert (code, out.splitlines()[0].startswith("  1. A jug")) == (0, True)


def test_forgetting(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    code, out, _ = ran(capsys, "forget", "ada")
    assert (code, out.startswith("ada is to be forgotten")) == (0, True)
    ran(capsys, "worker", "--until-caught-up")
    code, out, err = ran(capsys, "profile", "ada")
    assert (code, out) == (1, "")
    assert err == "realtime-pipeline: nothing is known of customer ada: never seen, not processed yet, or forgotten\n"
    ran(capsys, "publish", str(shop))  # nothing brings her back
    _, out, _ = ran(capsys, "worker", "--until-caught-up")
    assert "3 forgotten" in out
    assert ran(capsys, "profile", "ada")[0] == 1


def test_the_receipt_of_a_forgetting(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    code, out, err = ran(capsys, "forget", "ada", "--wait", "0.01")
    assert (code, "  still there: 1 profile, 1 session" in out) == (1, True)
    assert "  waiting for the worker: 0 records before it" in out
    assert err == "realtime-pipeline: ada is not forgotten after 0.01 s: is a worker running?\n"
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline, pipeline.processing():
        code, out, _ = ran(capsys, "forget", "ada", "--wait", "30")
    assert (code, "  erased: " in out, "until the file is deleted" in out) == (0, True, True)


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


def test_the_receipt_says_until_when_the_log_has_what_was_published(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_LOG_RETENTION__BYTES_MAX", "1")
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    ran(capsys, "forget", "ada")
    ran(capsys, "worker", "--until-caught-up")
    code, out, _ = ran(capsys, "forget", "ada", "--wait", "0.001")
    assert (code, "waiting for the worker" in out) == (1, True)
    code, out, _ = ran(capsys, "rebuild", "--yes")
    assert (code, "a worker has 1 record" in out) == (0, True)


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
    assert longest == [(LINE_BYTES_MAX,)]  # a piece is never more than a broker takes
    assert sorted(origins) == [("long.jsonl:1",), ("long.jsonl:2",)]


@pytest.mark.parametrize("arguments", [("similar", "\udcff"), ("recommend", "ada", "--looking-at", "\udcff")])
def test_what_is_no_text_is_no_product(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ran(capsys, "publish", str(shop))
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err == "realtime-pipeline: '\\udcff' is no product's id: ids are some printable characters\n"


def test_a_file_may_be_called_anything(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = shop.with_name("\udcff.jsonl")
    odd.write_bytes(b"garbage\n" + msgspec.json.encode(LINES[0]))
    assert ran(capsys, "publish", str(odd))[0] == 0
    ran(capsys, "worker", "--until-caught-up")
    assert "?.jsonl:1  not_json: " in ran(capsys, "dead-letters", "list")[1]


def test_a_command_needs_a_database(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_LOG", "memory")
    code, out, err = ran(capsys, "publish", str(shop))
    assert (code, out) == (1, "")
    assert "set log to sqlite or kafka, and store to sqlite or redis" in err


def test_names_cannot_steer_a_terminal(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(msgspec.json.encode(event("1", at_ms=1_000, product="mug", name="\x1b[31mRED\nINJECTED")))
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    _, out, _ = ran(capsys, "recommend", "zoe")
    assert out.splitlines()[0].startswith("  1. [31mREDINJECTED")
    assert "\x1b" not in out


def test_what_trends_and_what_is_rated_best(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    assert ran(capsys, "top-rated")[1].startswith("nothing is rated yet: 6 records wait to be processed; run a worker")
    ran(capsys, "worker", "--until-caught-up")
    assert ran(capsys, "trending", "--limit", "1")[1].startswith("  1. A mug (kitchen) 12.50  [")
    assert ran(capsys, "trending", "--country", "DE")[1] == (
        "nothing to recommend yet: nothing is trending in DE, but elsewhere; leave out the country\n"
    )
    assert ran(capsys, "top-rated")[1] == "  1. A mug (kitchen) 12.50  [5.00 stars, by 1 rating]\n"


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


def test_what_zstd_has_packed_is_not_taken_for_events(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_bytes(b"\x28\xb5\x2f\xfd\x04\x00\x00\n")
    code, _, err = ran(capsys, "publish", str(shop))
    assert (code, "is packed by zstd: unpack it first" in err) == (1, True)


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


def test_rules_that_leave_nothing_are_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    rules = shop.with_name("rules.toml")
    rules.write_text('only_categories = ["garden"]\n')
    code, out, _ = ran(capsys, "recommend", "ada", "--rules", str(rules))
    assert (code, out.startswith("only_categories left nothing"), "publish events" in out) == (0, True, False)
    rules.write_text("price_min = 5\nprice_max = 1\n")
    code, _, err = ran(capsys, "recommend", "ada", "--rules", str(rules))
    assert (code, "price_min 5.0 is more than price_max 1.0" in err) == (1, True)
    rules.write_text("nope = 1\n")
    assert f"rules {rules}: there is no rules.nope" in ran(capsys, "recommend", "ada", "--rules", str(rules))[2]


def test_a_new_customer_of_an_empty_shop(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "worker", "--until-caught-up")
    assert ran(capsys, "recommend", "zoe")[:2] == (
        0,
        "nothing to recommend yet: the log has no events; publish some, and let a worker process them\n",
    )


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


def test_what_a_terminal_cannot_show_is_written_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(msgspec.json.encode(LINES[0] | {"properties": {"product_id": "17", "name": "\u5929 mug"}}))
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main"]
    environment = os.environ | {"REALTIME_PIPELINE_DATABASE": str(tmp_path / "shop.db"), "PYTHONIOENCODING": "latin-1"}
    for arguments in (["publish", str(file)], ["worker", "--until-caught-up"]):
        subprocess.run([*command, *arguments], env=environment, check=True, capture_output=True)
    shown = subprocess.run([*command, "trending"], env=environment, check=True, capture_output=True)
    assert rb"\u5929 mug" in shown.stdout


def test_a_forgetting_is_not_written_into_a_log_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_PIPELINE_STORE", "redis")
    file = tmp_path / "elsewhere.db"
    code, _, err = ran(capsys, "forget", "ada", "--database", str(file))
    assert (code, err) == (
        1,
        f"realtime-pipeline: there is no database {file} yet: publish events first, or name another with --database\n",
    )
    assert not file.exists()


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


def test_ignored_types_are_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    types = ["video_play"] * 3 + ["Purchase", "\x1b[31m", ""] + [f"type {number:02}" for number in range(64)]
    shop.write_bytes(b"\n".join(msgspec.json.encode(LINES[0] | {"event_type": type_}) for type_ in types))
    ran(capsys, "publish", str(shop))
    said = ran(capsys, "worker", "--until-caught-up")[1].splitlines()[-1]
    assert said.startswith('ignored types: other 4, video_play 3, "" 1, [31m 1, Purchase 1, type 00 1, ')
    assert said.endswith("; map them in [event_types]")
    named = dict(one.rsplit(" ", 1) for one in said.removeprefix("ignored types: ").partition(";")[0].split(", "))
    assert (len(named), sum(map(int, named.values()))) == (65, 70)
    assert named["video_play"] == "3"
    assert ran(capsys, "worker", "--until-caught-up")[1].count("\n") == 2  # nothing new was ignored


def test_money_is_printed_with_the_decimals_of_the_currency(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(capsys, "publish", str(shop))
    ran(capsys, "worker", "--until-caught-up")
    for currency, amount in (("", "12.50"), ("EUR", "12.50"), ("JPY", "12"), ("KWD", "12.500")):
        monkeypatch.setenv("REALTIME_PIPELINE_CURRENCY", currency)
        assert f"in 1 order for {amount}\n" in ran(capsys, "profile", "ada")[1]
        assert f"A mug (kitchen) {amount}  [" in ran(capsys, "trending", "--limit", "1")[1]
        assert f"A mug (kitchen) {amount}  [" in ran(capsys, "top-rated")[1]
        assert f"A mug (kitchen) {amount}  [" in ran(capsys, "recommend", "zoe")[1]
    monkeypatch.setenv("REALTIME_PIPELINE_CURRENCY", "eur")
    code, _, err = ran(capsys, "profile", "ada")
    assert (code, "currency is a code of ISO 4217" in err) == (1, True)


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
