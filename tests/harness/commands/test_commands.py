"""The harness's commands, on data of our own and, where it is there, on real data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.commands.main import main
from harness.simulation.shop import Shop
from realtime_pipeline.domain.analytics.shipped import shipped_aggregates
from tests.harness.support.real_data import real
from tests.support.histories import event


def ran(folder: Path, *arguments: object) -> Mapping[str, Any]:
    """Run a command that must succeed; return its figures."""
    file = folder / "figures.json"
    assert main([*map(str, arguments), "--json", str(file)]) == 0
    figures: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
    return figures


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    file = tmp_path / "events.jsonl"
    events = Shop(4, 40, 30, 1_700_000_000_000, dirt=0.1).events(100)
    file.write_bytes(b"\n".join(map(msgspec.json.encode, events)) + b"\nnot an event\n")
    return file


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("log", ["memory", "sqlite"])
def test_the_store_of_a_replay_equals_the_oracle(tmp_path: Path, simulated: Path, log: str, store: str) -> None:
    figures = ran(
        tmp_path, "replay", "--data", simulated, "--format", "events", "--log", log, "--store", store, "--check"
    )
    lines = len(simulated.read_bytes().splitlines())
    assert figures["differences"] == []
    assert (figures["lines"], sum(figures["classes"].values())) == (lines, lines)
    assert figures["classes"]["duplicate"] > 0
    assert figures["dead_letters"]["not_json"] == 1


@pytest.mark.parametrize("disorder", [(), ("--disorder", 3)], ids=["in order", "out of order"])
def test_all_windows_of_the_library_equal_the_oracle(
    tmp_path: Path, simulated: Path, disorder: tuple[object, ...]
) -> None:
    arguments = ("replay", "--data", simulated, "--format", "events", "--windows", "--check", *disorder)
    figures = ran(tmp_path, *arguments)
    assert figures["differences"] == []
    windows = figures["windows"]
    assert set(windows) == {*shipped_aggregates("UTC"), "revenue_by_country_day", "customers_per_hour"}
    assert all(numbers["windows"] > 2 for numbers in windows.values())


def test_a_replay_shows_the_named_customer_and_keeps_the_database(
    tmp_path: Path, simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.db"
    ran(
        tmp_path, "replay", "--data", simulated, "--format", "events", "--customer", "customer-0002", "--database", kept
    )
    shown = capsys.readouterr().out
    assert "Customer customer-0002" in shown
    assert "with the same interest" in shown or "popular in" in shown
    assert kept.stat().st_size > 0


def test_names_come_from_the_catalogue_else_from_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, catalogue = tmp_path / "events.jsonl", tmp_path / "catalogue.jsonl"
    events = [
        event("1", user="ada", at_ms=1_000, product="a", name="from an event"),
        event("2", user="ada", at_ms=2_000, product="b", name="Jug", category="kitchen"),
        event("3", user="bob", at_ms=3_000, product="a"),
    ]
    data.write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    catalogue.write_text('{"product_id": "a", "name": "A fine mug"}\n{"product_id": "b", "price": 3.5}\n')
    ran(tmp_path, "replay", "--data", data, "--format", "events", "--catalogue", catalogue, "--customer", "bob", "zoe")
    shown = capsys.readouterr().out
    assert "  1. Jug (kitchen) 3.50" in shown
    assert "you looked at A fine mug: in 1 visit " in shown
    assert "Customer zoe" in shown


def test_the_oracle_alone_counts_as_the_replay_does(tmp_path: Path, simulated: Path) -> None:
    replayed = ran(tmp_path, "replay", "--data", simulated, "--format", "events")
    expected = ran(tmp_path, "oracle", "--data", simulated, "--format", "events")
    assert {name: count for name, count in expected["counts"].items() if name != "control"} == replayed["classes"]


def test_lines_beyond_the_limit_are_left_out(tmp_path: Path, simulated: Path) -> None:
    assert ran(tmp_path, "replay", "--data", simulated, "--format", "events", "--limit", 50)["lines"] == 50


def test_the_demo_shows_customers_recommendations_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = ran(tmp_path, "demo", "--sessions", 500)
    shown = capsys.readouterr().out
    for part in (
        "Customer customer-",
        "with the same interest",
        "Trending in the whole shop",
        "Rated best",
        "freshness",
    ):
        assert part in shown
    assert figures["freshness_ms"]["probes"] == 100


@pytest.mark.parametrize("workload", ["shop", "uniform"])
def test_the_worker_bench_measures_every_event(tmp_path: Path, workload: str) -> None:
    figures = ran(tmp_path, "bench", "worker", "--workload", workload, "--events", 2_000, "--customers", 100)
    assert figures["events"] == 2_000
    assert figures["events_per_cpu_second"] > 0
    assert sum(figures["stages"].values()) == pytest.approx(1.0)
    assert figures["shipped"] == "none"


def test_the_worker_bench_counts_windows_if_it_is_asked_to(tmp_path: Path) -> None:
    def size(*arguments: str) -> float:
        figures = ran(tmp_path, "bench", "worker", "--events", 2_000, "--customers", 100, *arguments)
        bytes_per_event: float = figures["database_bytes_per_event"]
        return bytes_per_event

    assert size() < size("--shipped", "default") < size("--shipped", "all")


def test_the_bench_of_files_publishes_every_row(tmp_path: Path) -> None:
    figures = ran(tmp_path, "bench", "ingest", "--events", "500")
    assert figures["rows"] == 500
    for kind in ("JSON lines", "JSON lines by a mapping", "CSV", "Parquet"):
        assert figures[kind]["rows_per_cpu_second"] > 0


def test_the_bench_of_lists_reaches_its_rate(tmp_path: Path) -> None:
    figures = ran(tmp_path, "bench", "recommend", "--visits", 200, "--products", 50, "--rates", 100, "--seconds", 2)
    rate = figures["rates"][0]
    assert (rate["rate"], figures["sessions"], figures["events"]) == (100, 200, 800)
    assert 0 < rate["p50_ms"] <= rate["p99_ms"] <= rate["max_ms"]
    assert rate["by_neighbours"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "--data", "nowhere.csv", "--format", "rees46"),
        ("fault", "worker", "--at", "merged", "--database", "{folder}/empty.db"),
        ("fault", "publisher", "--at", "appended", "--database", "{folder}/empty.db"),
        (
            "fault",
            "command",
            "--at",
            "merged",
            "--run",
            "worker",
            "--until-caught-up",
            "--database",
            "{folder}/empty.db",
        ),
        ("replay", "--data", "{folder}/events.jsonl", "--format", "events", "--json", "{folder}/no/where.json"),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, simulated: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated.exists()
    assert main([argument.replace("{folder}", str(tmp_path)) for argument in arguments]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("harness: ")


REAL = [  # of online_retail the first part: all of it takes minutes, with coverage
    ("rees46", "rees46_2019oct/2019-Oct-head.csv.zst", 17_434, {"applied": 17_434}),
    ("rsc15", "rsc15_100k/prepared/yoochoose-clicks-100k_train_full.txt", 70_278, {"applied": 70_278}),
    ("amazon-reviews", "amazon_gift_cards/Gift_Cards_5.json.gz", 2_972, {"applied": 2_972}),
    (
        "online-retail",
        "online_retail/online_retail.csv.zst",
        200_000,
        {"applied": 199_383, "ignored": 617},
    ),
]


@pytest.mark.data
@pytest.mark.parametrize(("format_", "name", "rows", "classes"), REAL, ids=[row[0] for row in REAL])
def test_the_store_of_real_data_equals_the_oracle(
    tmp_path: Path, format_: str, name: str, rows: int, classes: dict[str, int]
) -> None:
    figures = ran(tmp_path, "replay", "--data", real(name), "--format", format_, "--limit", 200_000, "--check")
    assert figures["differences"] == []
    assert figures["lines"] == rows
    assert {name: count for name, count in figures["classes"].items() if count} == classes


@pytest.mark.data
def test_exact_repeats_can_be_taken_for_the_same_event(tmp_path: Path) -> None:
    figures = ran(
        tmp_path,
        "replay",
        "--data",
        real(REAL[3][1]),
        "--format",
        "online-retail",
        "--limit",
        40_000,
        "--collapse-repeats",
        "--check",
    )
    assert figures["differences"] == []
    assert figures["classes"]["duplicate"] > 400


def test_log_and_store_are_those_of_the_settings(tmp_path: Path, simulated: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("log = 'kafka'\nstore = 'sqlite'\n")
    replay = ("replay", "--data", str(simulated), "--format", "events", "--settings", str(settings))
    assert main(replay) == 1  # the settings are read, and this combination is invalid
    assert main((*replay, "--log", "sqlite")) == 0


def test_the_bench_of_growth_measures_log_and_store(tmp_path: Path) -> None:
    figures = ran(tmp_path, "bench", "growth", "--workload", "uniform", "--events", 2_000, "--customers", 100)
    assert figures["customers"] == 100
    assert figures["event_bytes"] < figures["log_bytes_per_event"] < 2 * figures["event_bytes"]
    assert figures["store_bytes_per_customer"] == pytest.approx(20 * figures["store_bytes_per_event"])
    assert 0 < figures["snapshot_bytes_per_customer"] < figures["store_bytes_per_customer"]
