"""The query commands: lists and profiles."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.commands import LINES, ran
from tests.support.histories import event


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


@pytest.mark.parametrize("arguments", [("similar", "\udcff"), ("recommend", "ada", "--looking-at", "\udcff")])
def test_what_is_no_text_is_no_product(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ran(capsys, "publish", str(shop))
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err == "realtime-pipeline: '\\udcff' is no product's id: ids are some printable characters\n"


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


def test_what_a_terminal_cannot_show_is_written_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(msgspec.json.encode(LINES[0] | {"properties": {"product_id": "17", "name": "\u5929 mug"}}))
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main"]
    environment = os.environ | {"REALTIME_PIPELINE_DATABASE": str(tmp_path / "shop.db"), "PYTHONIOENCODING": "latin-1"}
    for arguments in (["publish", str(file)], ["worker", "--until-caught-up"]):
        subprocess.run([*command, *arguments], env=environment, check=True, capture_output=True)
    shown = subprocess.run([*command, "trending"], env=environment, check=True, capture_output=True)
    assert rb"\u5929 mug" in shown.stdout


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
