"""What the commands say of excluded events: `check`, `profile`, `trace`."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.support.commands import ran
from tests.support.histories import event

BOT = {"context": {"user_agent": "ShopBot/1"}}
EVENTS = [
    event("1", user=None, product="pan") | BOT,
    event("2", user="staff", product="mug"),
    event("2", user="staff", product="mug"),
    event("3", "purchase", user="staff", product="mug", price=2.5),
    event("4", user="bob", product="jug"),
    event("5", user="bob", product="jug") | BOT,
    event("6", "forget", user="staff", at_ms=1),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, EVENTS)))
    Path("shop.toml").write_text('[quality.exclude]\nuser_agents = ["shopbot"]\nids = ["staff"]\n')


def test_check_says_how_many_events_are_excluded(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "check", "--settings", "shop.toml", "events.jsonl")
    assert (code, "excluded: 4 events, for their customers' profiles alone (quality.exclude)" in out) == (0, True)
    report = json.loads(ran(capsys, "check", "--settings", "shop.toml", "--json", "events.jsonl")[1])
    assert (report["excluded"], report["products"], report["spend"]) == (4, 1, 2.5)
    assert not Path("shop.db").exists()


def test_check_without_a_filter_says_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "excluded" not in ran(capsys, "check", "events.jsonl")[1]
    report = json.loads(ran(capsys, "check", "--json", "events.jsonl")[1])
    assert (report["excluded"], report["products"]) == (0, 3)


def test_a_profile_and_a_trace_say_what_is_excluded(capsys: pytest.CaptureFixture[str]) -> None:
    Path("events.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, EVENTS[:-1])))
    ran(capsys, "publish", "events.jsonl", "--settings", "shop.toml")
    ran(capsys, "worker", "--until-caught-up", "--settings", "shop.toml")
    assert "  excluded   2 events, for this profile alone" in ran(capsys, "profile", "staff")[1]
    assert "  excluded   1 event, " in ran(capsys, "profile", "bob")[1]
    assert json.loads(ran(capsys, "profile", "staff", "--json")[1])["excluded"] == 2
    assert "events excluded +1" in ran(capsys, "trace", "3", "--settings", "shop.toml")[1]
    assert "excluded" not in ran(capsys, "trace", "4", "--settings", "shop.toml")[1]
    assert "jug" in ran(capsys, "trending")[1]
    assert "mug" not in ran(capsys, "trending")[1]


def test_a_filter_that_is_misspelt_is_named_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.toml").write_text('[quality.exclude]\nuseragents = ["shopbot"]\n')
    code, _, err = ran(capsys, "worker", "--settings", "shop.toml", "--until-caught-up")
    assert (code, err.count("\n")) == (1, 1)
    assert "there is no quality.exclude.useragents; did you mean quality.exclude.user_agents?" in err
