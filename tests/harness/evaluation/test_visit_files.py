"""Visits read from files of events."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.evaluation.visit_files import read_visits


def test_events_are_read_as_the_pipeline_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "events.jsonl"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    views = [
        {"event_id": f"{user}-{session}-{step}", "user_id": user, "session_id": session, "event_type": "view"}
        | {"timestamp": (start + timedelta(minutes=step)).isoformat(), "metadata": {"product_id": f"p{step}"}}
        for user, session in ((7, "s1"), (8, "s1"), (9, None), ("s2", None), (None, "s2"))
        for step in (20, 10, 51)
    ]
    others = [
        {"event_type": "view", "user_id": "ada", "timestamp": "yesterday"},
        {"event_type": "scroll", "timestamp": 1},
        views[0],
    ]
    lines = "\n\n".join(map(json.dumps, [*views, *others]))
    data.write_text(f"\ufeff{lines}\n\n", "utf-8")
    visits = {visit.key: visit.products for visit in read_visits([data], "events")}
    assert {key: products for key, products in visits.items() if "s1" in key} == {
        "7\ns1": ("p10", "p20", "p51"),
        "8\ns1": ("p10", "p20", "p51"),
    }
    assert [products for key, products in visits.items() if key.startswith("9")] == [("p10", "p20"), ("p51",)]
    of_s2 = sorted(products for key, products in visits.items() if key.startswith("s2"))
    assert of_s2 == [("p10", "p20"), ("p10", "p20", "p51"), ("p51",)]
    output = " ".join(capsys.readouterr().out.split())
    assert "1 line is left out: they would be dead letters; the first: events.jsonl:31: invalid_timestamp: " in output
    assert "1 line is left out: their type is not known; the first: events.jsonl:33" in output
    assert "1 line is left out: they repeat an id; the first: events.jsonl:35" in output
