"""The commands for dead letters, as whoever mends them knows them."""

from pathlib import Path

import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from tests.support.commands import ran
from tests.support.histories import append, event

GOOD = event("1", "purchase", at_ms=1_000, product="mug", price=12.5)
BAD_PRICE = event("2", "purchase", at_ms=2_000, product="jug", price=-1)
NAMELESS = event(None, "purchase", at_ms=3_000, product="cup", price="4")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A database with three dead letters in one partition: two events that can be mended, and garbage."""
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    monkeypatch.setenv("REALTIME_PIPELINE_PARTITIONS", "1")
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*map(msgspec.json.encode, [GOOD, BAD_PRICE, NAMELESS]), b"\xffgarbage", b""]))
    ran(capsys, "publish", str(file))
    work(capsys)
    return file


def work(capsys: pytest.CaptureFixture[str]) -> str:
    return ran(capsys, "worker", "--until-caught-up")[1]


def letters(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return ran(capsys, "dead-letters", *arguments)


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    found = msgspec.json.decode(letters(capsys, "list", "--json", *arguments)[1])
    return [f"{entry['id']} {entry['state']}" for entry in found["dead_letters"]]


def bought(shop: Path) -> tuple[int, int]:
    """Units and spend of ada, in ten-thousandths."""
    with Pipeline(Settings(database=str(shop.parent / "shop.db"))) as pipeline:
        customer = pipeline.profile("ada").customer
        return customer.purchases.units, customer.purchases.spend


def mended(capsys: pytest.CaptureFixture[str], shop: Path) -> Path:
    """An export in which both purchases have a price."""
    file = shop.parent / "letters.jsonl"
    assert letters(capsys, "export", str(file))[0] == 0
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    for line, price in zip(lines, (20, 4), strict=False):
        line["event"]["properties"]["price"] = price
    file.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    return file


def test_letters_are_listed_with_id_origin_and_reason(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = letters(capsys, "list")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "0-1  events.jsonl:2  invalid_price: it must be a number from 0, not -1")
    assert [line.split()[0] for line in lines[::2]] == ["0-1", "0-2", "0-3"]
    assert lines[5] == r"    b'\xffgarbage'"
    assert letters(capsys, "list", "--limit", "1")[1].splitlines()[2] == (
        "these are the first 1; there may be more (--limit)"
    )
    assert listed(capsys, "--reason", "not_json") == ["0-3 open"]
    assert listed(capsys, "--reason", "not") == []


def test_letters_are_chosen_by_the_time_at_which_they_came(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(listed(capsys, "--since", "2001-01-01", "--until", "2999-12-31T23:59:59+01:00")) == 3
    assert listed(capsys, "--until", "2001-01-01T00:00:00Z") == []
    assert listed(capsys, "--since", "2999-01-01") == []
    with pytest.raises(SystemExit):
        letters(capsys, "list", "--since", "yesterday")
    assert "must be a time as 2025-10-10T01:21:51Z" in capsys.readouterr().err


def test_one_letter_is_shown_whole(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = letters(capsys, "show", "0-1")
    assert code == 0
    assert out.startswith("dead letter 0-1\n  reason    invalid_price: ")
    assert "  customer  ada\n" in out
    assert out.splitlines()[-1] == msgspec.json.encode(BAD_PRICE).decode()
    (found,) = msgspec.json.decode(letters(capsys, "show", "0-3", "--json")[1])["dead_letters"]
    assert (found["value"], found["value_base64"], found["customer_id"]) == (None, "/2dhcmJhZ2U=", None)
    assert letters(capsys, "show", "0-77")[2].startswith("realtime-pipeline: there is no dead letter 0-77: ")
    assert letters(capsys, "show", "x")[2] == (
        "realtime-pipeline: 'x' is no id of a dead letter: an id is partition-position, as 3-1417\n"
    )


def test_what_is_exported_and_mended_counts_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bought(shop) == (1, 125_000)
    file = mended(capsys, shop)
    code, out, err = letters(capsys, "replay", "--from", str(file))
    assert code == 1
    assert out == ("0-3: has no event yet: put the repaired event into `event`\n2 dead letters published again\n")
    assert "\nrealtime-pipeline: not published, since no event can be made of them: 1; " in err
    for _ in range(2):  # again, and again
        out = letters(capsys, "replay", "--from", str(file))[1]
        assert out.endswith("\n0 dead letters published again; 2 replayed or resolved before\n")
    assert work(capsys).startswith("2 records processed")
    assert bought(shop) == (3, 125_000 + 200_000 + 40_000)
    assert listed(capsys) == ["0-3 open"]
    assert listed(capsys, "--state", "all") == ["0-1 replayed", "0-2 replayed", "0-3 open"]
    assert letters(capsys, "export", str(shop.parent / "more.jsonl"))[1].startswith("1 dead letter exported")


def test_what_is_published_beside_a_replay_counts_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An event of an id, once more by hand; and one without an id, whose id is its place in the log."""
    letters(capsys, "replay", "--from", str(mended(capsys, shop)))
    work(capsys)
    same = [BAD_PRICE | {"properties": {"product_id": "jug", "price": 20}}]
    same.append(NAMELESS | {"event_id": "user_events-0-2", "properties": {"product_id": "cup", "price": 4}})
    shop.write_bytes(b"\n".join(map(msgspec.json.encode, same)))
    ran(capsys, "publish", str(shop))
    assert "2 duplicates" in work(capsys)
    assert bought(shop) == (3, 365_000)


def test_an_export_keeps_every_digit_and_overwrites_nothing(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write_bytes(
        b'{"event_type": "view", "user_id": "ada", "timestamp": "x", "big": 12345678901234567890.10}\n'
        + msgspec.json.encode(GOOD)
    )
    ran(capsys, "publish", str(shop))
    work(capsys)
    file = tmp_path / "letters.jsonl"
    assert letters(capsys, "export", str(file), "--reason", "invalid_timestamp")[0] == 0
    assert b"12345678901234567890.10" in file.read_bytes()
    before = file.read_bytes()
    code, _, err = letters(capsys, "export", str(file))
    assert (code, "exists already: name another file" in err) == (1, True)
    assert file.read_bytes() == before


def test_an_export_goes_to_standard_output(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = letters(capsys, "export", "-", "--reason", "not_json")
    found = msgspec.json.decode(out)
    assert (code, found["id"], found["event"], found["value_base64"]) == (0, "0-3", None, "/2dhcmJhZ2U=")


def test_letters_are_replayed_as_they_are_once_that_makes_sense(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A purchase of more pieces than were allowed."""
    shop.write_bytes(msgspec.json.encode(event("3", "purchase", product="pin", price=1, quantity=2_000_000)))
    ran(capsys, "publish", str(shop))
    shop.write_bytes(msgspec.json.encode(event("4", "purchase", product="pin", price=1, quantity=2_000_000)) + b"\n")
    with shop.open("ab") as file:
        file.write(msgspec.json.encode(GOOD))
    ran(capsys, "publish", str(shop))
    work(capsys)
    assert listed(capsys, "--reason", "invalid_quantity") == ["0-4 open"]
    code, out, _ = letters(capsys, "replay", "0-4")
    assert (code, out.splitlines()[-1]) == (1, "0 dead letters published again")
    monkeypatch.setenv("REALTIME_PIPELINE_EVENTS__QUANTITY_MAX", "2000000")
    assert letters(capsys, "replay", "--reason", "invalid_quantity")[:2] == (0, "1 dead letter published again\n")
    assert letters(capsys, "replay", "0-4")[:2] == (
        0,
        "0 dead letters published again; 1 replayed or resolved before\n",
    )
    work(capsys)
    assert bought(shop)[0] == 2_000_001


def test_letters_are_resolved_with_a_note(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = letters(capsys, "resolve", "--reason", "not_json", "--note", "a cut line")
    assert (code, out) == (0, "1 dead letter resolved\n")
    assert letters(capsys, "resolve", "0-3")[1] == "0 dead letters resolved\n"
    assert letters(capsys, "resolve", "--reason", "not_json", "--until", "2001-01-01")[1] == "0 dead letters resolved\n"
    assert ": a cut line)" in letters(capsys, "list", "--state", "resolved")[1]
    assert listed(capsys) == ["0-1 open", "0-2 open"]
    assert letters(capsys, "replay", "0-3")[1].endswith("1 replayed or resolved before\n")
    assert letters(capsys, "resolve", "0-1", "0-9")[0] == 1
    assert listed(capsys) == ["0-1 open", "0-2 open"]
    assert letters(capsys, "resolve", "--all")[1] == "2 dead letters resolved\n"
    assert letters(capsys, "list")[1] == "there are no open dead letters\n"


def test_a_limit_counts_the_lines_that_are_published(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = mended(capsys, shop)
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[2], *lines]))
    for left in (["0-2 open", "0-3 open"], ["0-3 open"]):
        assert "1 dead letter published again" in letters(capsys, "replay", "--from", str(file), "--limit", "1")[1]
        assert listed(capsys) == left


def test_a_letter_of_another_database_is_not_replaced(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both have a letter of that place; the log took them in at other times."""
    file = mended(capsys, shop)
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    taken_in = lines[0]["appended_at"]
    lines[0]["appended_at"] = "2001-01-01T00:00:00.000Z"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, lines[:2])))
    code, out, _ = letters(capsys, "replay", "--from", str(file))
    assert (code, out.splitlines()) == (
        1,
        [
            f"0-1: it came at {taken_in} here, at 2001-01-01T00:00:00.000Z in the file: that is another log's letter",
            "1 dead letter published again",
        ],
    )
    assert listed(capsys) == ["0-1 open", "0-3 open"]


@pytest.mark.parametrize("value", [b"\xff" * 700_000, b'"' * 500_000, b"\x01" * 800_000])
def test_the_line_of_a_large_letter_can_be_read_back(
    value: bytes, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is longer than any line of events: base64 and escapes take more bytes than the record has."""
    with Pipeline(Settings(database=str(shop.parent / "shop.db"), partitions=1)) as pipeline:
        append(pipeline, [value])
    work(capsys)
    file = shop.parent / "large.jsonl"
    assert letters(capsys, "export", str(file), "--reason", "too_large")[0] == 0
    (line,) = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert file.stat().st_size > 900_000
    file.write_bytes(msgspec.json.encode(line | {"event": GOOD | {"event_id": "9"}}))
    assert letters(capsys, "replay", "--from", str(file))[:2] == (0, "1 dead letter published again\n")


def test_a_note_that_is_no_text_is_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        letters(capsys, "resolve", "0-3", "--note", "bad \udcff")
    assert "a note is text that UTF-8 can hold, not 'bad \\udcff'" in capsys.readouterr().err
    assert len(listed(capsys)) == 3


@pytest.mark.parametrize("action", ["replay", "resolve"])
def test_it_must_be_said_which_letters(shop: Path, capsys: pytest.CaptureFixture[str], action: str) -> None:
    for arguments in ((), ("0-1", "--all"), ("0-1", "--reason", "not_json"), ("--limit", "3")):
        code, _, err = letters(capsys, action, *arguments)
        assert (code, "select dead letters in one way" in err) == (1, True)
    assert listed(capsys) == ["0-1 open", "0-2 open", "0-3 open"]


def test_lines_that_are_no_repair_are_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shop.parent / "odd.jsonl"
    event_ = msgspec.json.encode(GOOD | {"event_id": "9"}).decode()
    file.write_text(
        f'{{"id": "0-1", "event": {event_}}}\nnothing\n{{"event": {event_}}}\n{{"id": "0-1", "event": {{}}}}\n'
        f'{{"id": "0-88", "event": {event_}}}\n{{"id": "0-0", "event": {event_}}}\n{{"id": "0-2", "event": 7}}\n'
    )
    code, out, err = letters(capsys, "replay", "--from", str(file), "--json")
    came = msgspec.json.decode(out)
    assert (code, came["published"], came["refused"]) == (1, 1, 4)
    assert {entry["id"]: entry["reason"].partition(":")[0] for entry in came["refusals"]} == {
        "0-1": "comes twice, with another event",
        "0-88": "there is no such dead letter",
        "0-0": "there is no such dead letter",
        "0-2": "not_an_event",
    }
    assert [line.partition(": ")[0] for line in came["unread_lines"]] == ["odd.jsonl:2", "odd.jsonl:3"]
    assert "no event can be made of them: 6; " in err
