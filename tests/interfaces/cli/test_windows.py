"""The command `windows`."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_pipeline.domain.analytics.shipped import ON_BY_DEFAULT
from realtime_pipeline.interfaces.cli.main import main
from realtime_pipeline.interfaces.cli.windows import sparkline

DEFINITIONS = """
[analytics]
shipped = []

[[analytics.windows]]
name = "sales"
window = {size_ms = 60000}
key = ["category"]
description = "what is sold"
where = {event_type = "product_purchased"}
measures = {orders = {measure = "distinct", field = "order_id"}, gross = {measure = "sum", field = "amount"}}

[[analytics.windows]]
name = "days"
window = {calendar = "day", timezone = "Europe/Berlin"}
measures = {top = {measure = "top", field = "product_id"}, spread = {measure = "quantiles", field = "price"}}
"""
EVENTS = [
    ("06:00:01", "kitchen", 1234.5, "o1"),
    ("06:00:02", "kitchen", 10.25, "o1"),
    ("06:02:00", None, 3, "o2"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    settings = tmp_path / "shop.toml"
    settings.write_text(f'database = "{tmp_path / "shop.db"}"\n{DEFINITIONS}', "utf-8")
    lines = [
        json.dumps(
            {
                "event_type": "purchase",
                "user_id": "ada",
                "timestamp": f"2026-03-01T{time}Z",
                "properties": {"product_id": "mug", "category": category, "price": price, "order_id": order},
            }
        )
        for time, category, price, order in EVENTS
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    assert main(["publish", str(tmp_path / "events.jsonl"), "--settings", str(settings)]) == 0
    assert main(["worker", "--until-caught-up", "--settings", str(settings)]) == 0
    return settings


def shown(capsys: pytest.CaptureFixture[str], settings: Path, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["windows", *arguments, "--settings", str(settings)]) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_windows_are_a_table_with_a_sparkline(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, shop, "sales").splitlines() == [
        "start (UTC)          category  orders  gross     state",
        "2026-03-01 06:00:00  kitchen   1       1,244.75  live",
        "2026-03-01 06:02:00  -         1       3         live",
        "orders kitchen: █▁",
        "orders -: ▁█",
    ]


def test_entries_and_absent_values_are_shown(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, row = shown(capsys, shop, "days").splitlines()
    assert row.startswith("2026-02-28 23:00:00  mug 3  p50 10.")


def test_windows_are_selected_by_time_key_and_number(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def starts(*arguments: str) -> list[str]:
        return [
            item["start"][11:16] for item in json.loads(shown(capsys, shop, "sales", "--json", *arguments))["items"]
        ]

    assert starts() == ["06:00", "06:02"]
    assert starts("--from", "2026-03-01T06:01:00Z") == ["06:02"]
    assert starts("--to", "2026-03-01T06:02:00Z") == ["06:00"]
    assert starts("--limit", "1") == ["06:02"]
    assert starts("--key", "kitchen") == ["06:00"]
    assert starts("--key", "") == ["06:02"]
    assert starts("--key", "garden") == []


def test_without_a_name_the_definitions_are_listed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, shop).splitlines() == [
        "sales: orders, gross per 1 min by category",
        "  what is sold",
        "days: top, spread per day in Europe/Berlin",
    ]
    assert json.loads(shown(capsys, shop, "--json"))["items"] == [
        {"name": "sales", "measures": ["orders", "gross"], "description": "what is sold"},
        {"name": "days", "measures": ["top", "spread"], "description": ""},
    ]


def test_a_name_that_does_not_exist_names_those_that_do(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'there is no window "sale"; there are: days, sales' in shown(capsys, shop, "sale", code=1)


def test_a_shop_without_windows_is_told_how_to_count_some(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write_text(f'database = "{shop.parent / "shop.db"}"\nanalytics = {{shipped = []}}\n', "utf-8")
    assert "name some in analytics.shipped, or add analytics.windows to the settings" in shown(capsys, shop)
    off = "gmv_per_minute is not counted: add it to analytics.shipped; there are: none"
    assert off in shown(capsys, shop, "gmv_per_minute", code=1)


def test_without_settings_the_shipped_windows_of_sales_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sale.json").write_text(
        '{"event_type": "purchase", "user_id": "ada", "timestamp": "2026-03-01T06:00:01Z", "properties": '
        '{"product_id": "mug", "price": 12.5, "quantity": 2, "order_id": "o1"}}\n',
        "utf-8",
    )
    assert main(["publish", "sale.json"]) == 0
    assert main(["worker", "--until-caught-up"]) == 0
    capsys.readouterr()
    assert main(["windows", "gmv_per_minute"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "start (UTC)          orders  units  gross  net  state",
        "2026-03-01 06:00:00  1       2      25     25   live",
    ]
    assert main(["windows"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[::2]] == [*ON_BY_DEFAULT]
    assert all(line.startswith("  sales ") for line in lines[1::2])


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ('field = "amount"', 'field = "amuont"', 'sales: there is no field "amuont"'),
        ("where = {event_type", "were = {event_type", "there is no analytics.windows.were; did you mean"),
        ('"product_purchased"}', '{prefx = "p"}}', "there is no analytics.windows.where.event_type.prefx"),
        ('"product_purchased"}', "{at_least = nan}}", "at_least must be a number"),
        ('"product_purchased"}', "[]}", "sales: a condition needs one_of"),
        ('field = "order_id"', 'feld = "order_id"', "there is no analytics.windows.measures.orders.feld"),
        ('{measure = "distinct", field = "order_id"}', '{measure = "min", field = "user_id"}', "user_id is personal"),
    ],
)
def test_a_definition_that_cannot_work_names_the_field(
    before: str, after: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "shop.toml"
    settings.write_text(DEFINITIONS.replace(before, after, 1), "utf-8")
    assert error in shown(capsys, settings, code=1)


def test_bars_are_between_the_smallest_and_the_largest_number() -> None:
    assert sparkline([0, 7, 3]) == "▁█▄"
    assert sparkline([-1, 1]) == "▁█"
    assert sparkline([0, 0]) == "▁▁"


def test_following_prints_what_has_changed_until_it_is_stopped(shop: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "windows", "sales"]
    more = json.loads((tmp_path / "events.jsonl").read_text("utf-8").splitlines()[0]) | {"event_id": "more"}
    later = tmp_path / "later.jsonl"
    later.write_text(json.dumps(more), "utf-8")
    command += ["--settings", str(shop), "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            first = [json.loads(following.stdout.readline()) for _ in range(2)]
            assert [found["values"]["orders"] for found in first] == [1, 1]
            main(["publish", str(later), "--settings", str(shop)])
            main(["worker", "--until-caught-up", "--settings", str(shop)])
            changed = json.loads(following.stdout.readline())
            assert (changed["start"], changed["values"]["gross"]) == (first[0]["start"], 2 * 1234.5 + 10.25)
            following.send_signal(signal.SIGINT)
            printed, said = following.communicate(timeout=20)
        finally:
            following.kill()
    assert (printed, said, following.returncode) == ("", "", 0)


def test_a_finite_replay_ends_with_closed_windows(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--until-caught-up", "--close-windows", "--settings", str(shop)]) == 0
    capsys.readouterr()
    main(["windows", "sales", "--json", "--settings", str(shop)])
    items = json.loads(capsys.readouterr().out)["items"]
    assert [item["state"] for item in items] == ["final", "final"]
    assert main(["worker", "--close-windows", "--settings", str(shop)]) == 1
    assert "--close-windows is for --until-caught-up" in capsys.readouterr().err
