"""`check`: what files would become, as publishing and a worker then make them."""

import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.commands import ran
from tests.support.histories import NOW_MS, event


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


HISTORY: list[object] = [
    event("1", user=None, session="s1", product="mug"),
    event("2", user=None, session="s1", product="jug"),
    event("3", "sign_in", user="ada", session="s1"),
    event("4", user=None, session="s1", product="cup"),
    event("5", "purchase", product="mug", price=2.5, quantity=4, order_id="o1"),
    event("5", "purchase", product="mug", price=2.5, quantity=4, order_id="o1"),
    event("6", "refund", product="mug", price=2.5, quantity=1, order_id="o1"),
    event("7", "wish", product="mug"),
    event("8", "purchase", user="bob", product="mug", price="two", order_id="o2"),
    event("9", "forget", user="bob"),
    event("10", "view", user="bob", product="mug", at_ms=NOW_MS - 200_000),
    {"event_type": "view", "timestamp": NOW_MS - 5, "properties": {"product_id": "mug", "colour": "red"}},
    {"event_type": "view", "userId": "ada", "timestamp": NOW_MS, "properties": {"product_id": "mug"}},
    {"event_type": "view", "user_id": "eve", "timestamp": 32_503_680_000_000, "properties": {"product_id": "mug"}},
]


def write(*documents: object) -> str:
    Path("events.jsonl").write_bytes(b"\n".join(msgspec.json.encode(found) for found in documents) + b"\nnonsense\n")
    return "events.jsonl"


def classes(database: str) -> dict[str, int]:
    with Pipeline(Settings(database=database)) as pipeline:
        pipeline.process()
        found = pipeline.container.customer_queries().counts()
    return {name.value: count for name, count in found.items() if count and name is not RecordClass.CONTROL}


def test_the_classes_are_those_that_a_worker_counts(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(*HISTORY)
    _, out, _ = ran(capsys, "check", "--json", "--max-unusable", "1", name)
    assert not Path("shop.db").exists()
    ran(capsys, "publish", name)
    report = json.loads(out)
    assert report["counts"] == classes("shop.db")
    assert report["records"] + report["messages"] == sum(report["counts"].values())


def test_the_report_says_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "check", "--json", "--max-unusable", "1", write(*HISTORY))
    report = json.loads(out)
    assert code == 0
    assert report["reasons"] == {"invalid_price": 1, "misspelt_field": 1, "in_the_future": 1, "not_json": 1}
    assert [found["origin"] for found in report["examples"]["invalid_price"]] == ["events.jsonl:9"]
    assert (report["ignored_types"], report["unknown_fields"]) == (
        {"wish": 1},
        {"colour": {"count": 1, "suggestion": None}},
    )
    assert (report["spend"], report["refunds"], report["units"], report["orders"]) == (10.0, 2.5, 3, 1)
    assert report["products"] == 3


def test_the_report_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "check", write(*HISTORY))
    assert code == 1
    for line in (
        "15 records read: 15 events",
        "dead letters invalid_price: 1",
        "  events.jsonl:9: invalid_price: it must be a number from 0, not text",
        "ignored types: wish 1; map them in [event_types]",
        "no meaning here: colour in 1 event",
        "sold for 10.00, refunded 2.50",
    ):
        assert line in out, out
    assert "26.7% of 15 events cannot be used, more than 5.0% (--max-unusable)" in err


@pytest.mark.parametrize(("share", "code"), [("0.26", 1), ("0.27", 0)])
def test_the_exit_code_follows_the_share_of_unusable_events(
    share: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, "check", "--max-unusable", share, write(*HISTORY))[0] == code


def test_a_file_without_an_event_is_unusable(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "check", write(event("7", "wish")))
    assert (code, "100.0% of 2 events cannot be used" in err) == (1, True)
    Path("empty").touch()
    code, _, err = ran(capsys, "check", "empty")
    assert (code, "there are no records" in err) == (1, True)


def test_only_the_first_lines_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "check", "--lines", "2", write(*HISTORY))
    assert "2 records read" in out


LINES = [
    {
        "event": "Order Completed",
        "messageId": f"m{number}",
        "userId": f"u{number % 3}",
        "timestamp": f"2026-02-01T10:00:{number:02}Z",
        "properties": {
            "order_id": number,
            "products": [{"sku": f"p{n}", "name": "Mug", "price": "1,50", "quantity": 2} for n in range(2)],
        },
    }
    for number in range(9)
] + [
    {"event": "Product Viewed", "messageId": "v", "userId": "u1", "timestamp": "2026-02-01T11:00:00Z",
     "properties": {"product_id": "p1"}},
]  # fmt: skip


def test_a_draft_of_a_mapping_can_be_used_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lines.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, LINES)))
    code, draft, _ = ran(capsys, "check", "--suggest", "lines.jsonl")
    assert code == 0
    assert tomllib.loads(draft)["mapping"]["draft"]["types"] == {
        "Order Completed": "purchase",
        "Product Viewed": "view",
    }
    Path("settings.toml").write_text(draft)
    code, out, _ = ran(capsys, "check", "--settings", "settings.toml", "--mapping", "draft", "--json", "lines.jsonl")
    report = json.loads(out)
    # nine orders of two lines, each of two pieces at 1.50
    assert (code, report["counts"], report["spend"], report["orders"]) == (0, {"applied": 19}, 54.0, 9)


def test_a_draft_of_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Path("orders.csv").write_text(
        "Datum;InvoiceNo;StockCode;UnitPrice;Quantity;Customer ID;order date\n"
        + "".join(f"x;{n};mug;2,50;1;{n % 2};{n + 1:02}.02.2026 10:00\n" for n in range(9))
    )
    _, draft, _ = ran(capsys, "check", "--format", "csv", "--delimiter", ";", "--suggest", "orders.csv")
    found = tomllib.loads(draft)["mapping"]["draft"]
    assert (found["time"], found["decimal"], found["format"], found["delimiter"]) == (
        "%d.%m.%Y %H:%M",
        ",",
        "csv",
        ";",
    )
    assert found["fields"]["timestamp"] == "order date"
    assert found["fields"]["user_id"] == "Customer ID"
    Path("settings.toml").write_text(draft)
    _, out, _ = ran(capsys, "check", "--settings", "settings.toml", "--mapping", "draft", "--json", "orders.csv")
    assert json.loads(out)["counts"] == {"applied": 9}
