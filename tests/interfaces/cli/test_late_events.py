"""The commands for late events, as whoever looks for missing events knows them."""

import json
from pathlib import Path

import pytest

from tests.support.commands import ran

DEFINITIONS = """
partitions = 1

[[analytics.windows]]
name = "minutes"
window = {size_ms = 60000}
measures = {views = {measure = "count"}}
lateness_ms = 0

[[analytics.windows]]
name = "sliding"
window = {size_ms = 60000, slide_ms = 20000}
where = {event_type = "product_viewed"}
measures = {views = {measure = "count"}}
lateness_ms = 0
"""
EVENTS = [("view", "06:10:00"), ("view", "06:10:00"), ("view", "06:00:30"), ("purchase", "06:01:00")]


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with two late events in its partition: the third line of the file, and the fourth."""
    settings = tmp_path / "shop.toml"
    settings.write_text(f'database = "{tmp_path / "shop.db"}"\n{DEFINITIONS}', "utf-8")
    monkeypatch.setenv("REALTIME_PIPELINE_SETTINGS", str(settings))
    monkeypatch.chdir(tmp_path)
    lines = [
        {
            "event_id": str(number),
            "event_type": kind,
            "user_id": "ada",
            "timestamp": f"2026-03-01T{time}Z",
            "properties": {"product_id": "mug", "price": 5},
        }
        for number, (kind, time) in enumerate(EVENTS)
    ]
    Path("events.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    assert ran(capsys, "publish", "events.jsonl")[0] == 0
    assert ran(capsys, "worker", "--until-caught-up")[0] == 0


def late_events(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return ran(capsys, "late-events", *arguments)


def test_late_events_are_listed_with_what_they_have_missed(shop: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = late_events(capsys, "list")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert lines[0] == "0-2  events.jsonl:3  of 2026-03-01T06:00:30.000Z  minutes: 1 window, sliding: 3 windows"
    assert lines[1].startswith("    b'{")
    assert lines[2] == "0-3  events.jsonl:4  of 2026-03-01T06:01:00.000Z  minutes: 1 window"


def test_late_events_of_one_definition_and_a_limit(shop: None, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = late_events(capsys, "list", "--definition", "sliding")
    assert [line.split()[0] for line in out.splitlines()[::2]] == ["0-2"]
    _, out, _ = late_events(capsys, "list", "--limit", "1")
    assert out.splitlines()[2] == "these are the first 1; there may be more (--limit)"


def test_late_events_as_json(shop: None, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(late_events(capsys, "list", "--json", "--limit", "2")[1])
    assert [(late["id"], late["missed"]) for late in document["late_events"]] == [
        ("0-2", {"minutes": 1, "sliding": 3}),
        ("0-3", {"minutes": 1}),
    ]
    assert document["notes"] == ["these are the first 2; there may be more (--limit)"]
    shown = json.loads(late_events(capsys, "show", "0-2", "--json")[1])
    assert shown == {"late_event": document["late_events"][0]}
    assert (shown["late_event"]["customer_id"], shown["late_event"]["partition_time"]) == (
        "ada",
        "2026-03-01T06:10:00.000Z",
    )


def test_a_late_event_is_shown_with_all_its_bytes(shop: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = late_events(capsys, "show", "0-2")
    lines = out.splitlines()
    assert code == 0
    assert lines[:6] == [
        "late event 0-2",
        "  missed     minutes: 1 window, sliding: 3 windows",
        "  time       2026-03-01T06:00:30.000Z",
        "  partition  had come to 2026-03-01T06:10:00.000Z",
        "  where      partition 0, position 2",
        "  origin     events.jsonl:3",
    ]
    assert lines[7:9] == ["  customer   ada", "  key        b'ada'"]
    assert json.loads(lines[-1])["event_id"] == "2"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("show", "0-1"), "there is no late event 0-1: the id is wrong"),
        (("show", "first"), "'first' is no id of a late event: an id is partition-position, as 3-1417"),
        (
            ("list", "--definition", "hours"),
            'there is no window "hours"; there are: gmv_per_minute, minutes, revenue_by_category_country_hour, sliding',
        ),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line(
    arguments: tuple[str, ...], line: str, shop: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = late_events(capsys, *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"realtime-pipeline: {line}")


def test_a_list_without_late_events_says_so(shop: None, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ran(capsys, "forget", "ada")[0] == 0
    assert ran(capsys, "worker", "--until-caught-up")[0] == 0
    assert late_events(capsys, "list") == (0, "there are no late events\n", "")


@pytest.mark.parametrize("limit", ["0", "1000001", "many"])
def test_a_limit_out_of_bounds_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        late_events(capsys, "list", "--limit", limit)
    assert "must be a whole number from 1 to 1000000" in capsys.readouterr().err
