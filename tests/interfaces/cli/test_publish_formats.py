"""`publish` of other formats, of files that grow, and of folders; by a mapping; each record once."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support.commands import ran

SETTINGS = """
currency = "EUR"
exchange_rates = [{currency = "USD", since = 2026-01-01, rate = 0.9}]
[events]
custom = ["log_line"]
[mapping.till]
time = "%d.%m.%Y %H:%M"
timezone = "Europe/Berlin"
decimal = ","
format = "csv"
delimiter = ";"
ignore = ["Training"]
types = {"Verkauf" = "purchase", "Storno" = "refund"}
[mapping.till.fields]
event_type = "Art"
event_id = {join = ["Bon", "Zeile"]}
user_id = "Kunde"
order_id = "Bon"
timestamp = "Zeit"
product_id = "Artikel"
price = "Preis"
quantity = {path = "Menge", absolute = true}
currency = "Waehrung"
country = {constant = "DE"}
cashier = "Kasse"
"""

TILL = """\
Art;Bon;Zeile;Kunde;Zeit;Artikel;Preis;Menge;Waehrung;Kasse
Verkauf;7;1;ada;01.02.2026 10:00;mug;1.234,50 €;2;EUR;3
Verkauf;7;2;ada;01.02.2026 10:00;jug;10,00;1;USD;3
Storno;7;3;ada;02.02.2026 10:00;mug;1.234,50 €;-1;EUR;3
Training;8;1;ada;02.02.2026 10:00;mug;1,00;1;EUR;3
Verkauf;9;1;ada;02.02.2026 10:00;mug;1,00;1;GBP;3
Verkauf;9;2
Inventur;9;3;;02.02.2026 10:00;;;;EUR;3
"""


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").write_text(SETTINGS)
    monkeypatch.setenv("REALTIME_PIPELINE_SETTINGS", "settings.toml")


def counts() -> dict[str, int]:
    with Pipeline(Settings(database="shop.db")) as pipeline:
        pipeline.process()
        found = pipeline.container.customer_queries().counts()
    return {name.value: count for name, count in found.items() if count and name is not RecordClass.CONTROL}


def test_a_till_is_published_by_its_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    Path("till.csv").write_text(TILL)
    code, out, _ = ran(capsys, "publish", "--mapping", "till", "till.csv")
    assert code == 0
    assert "6 events were published" in out
    assert "left out by the mapping: Training 1" in out
    ran(capsys, "worker", "--until-caught-up")
    _, out, _ = ran(capsys, "profile", "ada")
    assert "2 purchases, 1 cancellation" in out
    # 2 x 1,234.50 + 10.00 USD at 0.9, less one of 1,234.50: 2,469.00 + 9.00 - 1,234.50
    assert "bought     2 pieces in 1 order for 1,243.50" in out
    assert "seen       2026-02-01T09:00:00.000Z to 2026-02-02T09:00:00.000Z" in out
    _, out, _ = ran(capsys, "dead-letters", "list")
    assert 'till.csv:6  unknown_rate: no exchange rate of "GBP" to "EUR"' in out
    assert "till.csv:7  ragged_row: 3 fields, the header has 10" in out
    ran(capsys, "publish", "--mapping", "till", "till.csv")
    assert counts() == {"applied": 3, "duplicate": 3, "ignored": 2, "dead_letter": 4}


def test_a_mapping_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("till.csv").write_text(TILL)
    code, _, err = ran(capsys, "publish", "--mapping", "tlil", "till.csv")
    assert (code, err.count("\n")) == (1, 1)
    assert 'there is no mapping "tlil": did you mean till?' in err


def test_a_mapping_that_reads_currencies_needs_the_shops(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("settings.toml").write_text(SETTINGS.replace('currency = "EUR"\n', "", 1).replace("exchange_rates", "# "))
    Path("till.csv").write_text(TILL)
    code, _, err = ran(capsys, "publish", "--mapping", "till", "till.csv")
    assert (code, "mapping till reads the currency of each event: set the shop's own" in err) == (1, True)


def test_columns_named_as_ours_need_no_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    Path("events.csv").write_text(
        "event_type,user_id,timestamp,product_id,price,quantity,colour\n"
        "purchase,ada,2026-02-01T10:00:00Z,mug,2.50,3,red\npurchase,ada,2026-02-01T10:00:00Z,jug,abc,1,\n"
    )
    assert ran(capsys, "publish", "--format", "csv", "events.csv")[0] == 0
    assert counts() == {"applied": 1, "dead_letter": 1}
    _, out, _ = ran(capsys, "profile", "ada")
    assert "3 pieces in 1 order for 7.50" in out


def test_lines_of_text_become_custom_events(capsys: pytest.CaptureFixture[str]) -> None:
    Path("access.log").write_text("2026-02-01T10:00:00Z ada /mug\n2026-02-01T10:01:00Z - /jug\nnonsense\n")
    pattern = r"(?P<timestamp>\S+) (?:(?P<user_id>\w+)|-) (?P<path>\S+)"
    assert ran(capsys, "publish", "--format", "text", "--pattern", pattern, "access.log")[0] == 0
    ran(capsys, "worker", "--until-caught-up")
    assert "did        1 log_line" in ran(capsys, "profile", "ada")[1]
    assert "access.log:3  no_match: the line does not match the pattern" in ran(capsys, "dead-letters", "list")[1]
    _, out, _ = ran(capsys, "trace", "user_events-0-0")
    assert out


def view(number: int) -> str:
    return f'{{"event_type": "view", "timestamp": {number}, "properties": {{"product_id": "mug"}}}}\n'


def test_a_file_is_published_once_and_goes_on_where_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    """Events without ids, and without customers: nothing but the position tells them from repeats."""
    file = Path("events.jsonl")
    file.write_text("".join(map(view, range(5))))
    assert "5 events were published" in ran(capsys, "publish", "--once", str(file))[1]
    assert "0 events were published" in ran(capsys, "publish", "--once", str(file))[1]
    with file.open("a") as opened:
        opened.write(view(5))
    assert "1 event was published" in ran(capsys, "publish", "--once", str(file))[1]
    assert counts() == {"applied": 6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--once", "-"), "--once and --follow are for files: - cannot be read again"),
        (("--follow", "nowhere.jsonl"), "there is no file nowhere.jsonl"),
        (("--follow", "a", "b"), "--follow is for one file"),
        (("--watch", "nowhere"), "there is no folder nowhere"),
        (("--format", "text", "a"), "needs a pattern"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        Path(name).touch()
    code, _, err = ran(capsys, "publish", *arguments)
    assert (code, err.count("\n"), message in err) == (1, 1, True)


@pytest.mark.parametrize("arguments", [(), ("--watch", "in", "file")])
def test_files_or_a_folder_are_named(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ran(capsys, "publish", *arguments)
    assert ended.value.code == 2


def until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_folder_is_watched_by_processes_that_end_or_die(kill: signal.Signals) -> None:
    inbox = Path("inbox")
    inbox.mkdir()
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "publish", "--watch", "inbox"]
    for number in range(3):
        (inbox / f"{number}.jsonl").write_text("".join(map(view, range(3))))
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            until(lambda number=number: Path("shop.db").exists() and counts().get("applied") == 3 * (number + 1))
            (inbox / f"{number}.jsonl").open("a").close()
            process.send_signal(kill)
            assert process.wait(20) == (0 if kill is signal.SIGTERM else -kill)
        finally:
            process.kill()
            process.communicate()
    assert counts() == {"applied": 9}


def test_a_growing_file_is_followed() -> None:
    file = Path("events.jsonl")
    file.write_text(view(0) + view(1)[:20])
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main", "publish", "--follow", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        until(lambda: Path("shop.db").exists() and counts().get("applied") == 1)
        with file.open("a") as opened:
            opened.write(view(1)[20:] + view(2))
        until(lambda: counts().get("applied") == 3)
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


RULES = """
currency = "EUR"
[mapping.shop.fields]
event_type = "t"
timestamp = "at"
currency = "cur"
[[mapping.shop.events]]
split = {item = "items"}
[mapping.shop.events.fields]
user_id = "who"
event_type = {constant = "purchase"}
event_id = "item.id"
product_id = "item.sku"
price = "item.price"
[[mapping.shop.events]]
split = {item = "items"}
[mapping.shop.events.fields]
user_id = "who"
event_type = {constant = "review"}
event_id = "item.id"
product_id = "item.sku"
rating = "item.stars"
"""


def test_events_of_two_rules_and_what_cannot_be_mapped_are_the_customers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("settings.toml").write_text(RULES)
    order = '{"who":"ada","at":1000,"cur":"%s","items":[{"id":1,"sku":"mug","price":2,"stars":4}]}\n'
    Path("orders.jsonl").write_text(order % "EUR" + order % "USD")
    ran(capsys, "publish", "--mapping", "shop", "orders.jsonl")
    assert counts() == {"applied": 2, "dead_letter": 1}
    ran(capsys, "forget", "ada")
    ran(capsys, "worker", "--until-caught-up")
    assert "orders.jsonl:2" not in ran(capsys, "dead-letters", "list")[1]


def test_check_names_paths_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    Path("settings.toml").write_text(RULES.replace('"item.price"', '"item.prise"'))
    Path("orders.jsonl").write_text('{"who":"ada","at":1000,"items":[{"id":1,"sku":"mug","price":2,"stars":4}]}\n')
    _, out, _ = ran(capsys, "check", "--mapping", "shop", "orders.jsonl")
    assert "paths of the mapping without a value: currency (cur); price (item.prise)" in out
