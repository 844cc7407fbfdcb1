"""`trace`: what became of an event, in words and as JSON."""

from pathlib import Path

import msgspec
import pytest

from tests.support.commands import ran
from tests.support.histories import event


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    monkeypatch.setenv("REALTIME_PIPELINE_PARTITIONS", "1")
    bought = event("b-1", "purchase", at_ms=1_000, product="mug", price=12.5, quantity=2)
    lines = [bought, bought, event("b-2", "purchase", at_ms=2_000, product="mug", price=-1)]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    ran(capsys, "publish", str(file))
    ran(capsys, "worker", "--until-caught-up")
    return tmp_path


def without_times(out: str) -> list[str]:
    return [line for line in out.splitlines() if not line.startswith("  taken in  20")]


def test_an_event_is_traced_in_words(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "trace", "b-1")
    assert code == 0
    assert without_times(out) == [
        f"event b-1 in {shop / 'shop.db'}: 2 copies",
        "partition 0, position 0, from events.jsonl:1",
        "  class     applied",
        "  kind      product_purchased",
        "  customer  ada",
        "  product   mug",
        "  changed   units +2, orders +1, spend +25.00, session 0-0 (begun), interactions of the product +1",
        "partition 0, position 1, from events.jsonl:2",
        "  class     duplicate",
        "  kind      product_purchased",
        "  customer  ada",
        "  product   mug",
    ]
    assert len(out.splitlines()) == 14
    out = ran(capsys, "trace", "b-1", "--customer", "ada")[1]
    assert out.startswith(f"event b-1 in {shop / 'shop.db'}: 2 copies, in the partitions of ada alone\n")
    assert (
        "  class     dead letter: invalid_price: it must be a number from 0, not -1 (open)\n"
        in (ran(capsys, "trace", "b-2")[1])
    )


def test_a_trace_as_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "trace", "b-1", "--json", "--customer", "ada")
    found = msgspec.json.decode(out)
    assert (code, found["searched"]) == (0, [{"partition": 0, "from": 0, "to": 3}])
    assert [copy["class"] for copy in found["copies"]] == ["applied", "duplicate"]
    assert (found["copies"][0]["changed"]["spend"], found["copies"][0]["changed"]["units"]) == (25.0, 2)


def test_a_customer_that_nobody_can_be(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "trace", "b-1", "--customer", "\udcff")
    assert (code, err.splitlines()[-1]) == (
        1,
        "realtime-pipeline: '\\udcff' is no customer's id: ids are some printable characters",
    )


def test_an_event_that_nobody_published(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "trace", "b-9")[:2] == (1, "")
    code, _, err = ran(capsys, "trace", "b-9", "--customer", "bob")
    alone = "in the partitions of bob alone (leave out --customer to read all)"
    looked = f"looked through 3 positions of {shop / 'shop.db'}, {alone}"
    assert (code, err.splitlines()[-1]) == (1, f"realtime-pipeline: no record has the event id b-9: {looked}")
