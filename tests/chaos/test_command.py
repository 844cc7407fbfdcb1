"""A round that fails: the command says how, and runs the next round."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.chaos.steps import Outcome
from harness.commands import chaos as command
from harness.support.errors import HarnessError


class FailingCluster:
    """A cluster whose stores differ, and that cannot be cleaned up."""

    def __init__(self, *_: object) -> None:
        pass

    def differences(self) -> list[str]:
        return ["customer ada: spend is 4.00, should be 8.00"]

    def worker_outputs(self) -> list[str]:
        return ["a worker's last line"]

    def close(self) -> None:
        raise HarnessError("Kafka does not answer")


@contextmanager
def no_servers(_: Path) -> Iterator[None]:
    yield


def refused(_: object) -> Outcome:
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("play", "problem"),
    [
        (lambda _: Outcome(), "customer ada: spend is 4.00, should be 8.00"),
        (refused, "Connection refused"),
        (refused, "a worker's last line"),
    ],
)
def test_a_failed_round_is_reported_and_the_next_one_runs(
    play: object, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ClusterUnderTest", FailingCluster)
    monkeypatch.setattr(command, "servers", no_servers)
    monkeypatch.setattr(command, "ROUNDS", {"a fault": play})
    figures = command.run(Namespace(seed=7, first=3, rounds=2, kind=None))
    assert [failed["round"] for failed in figures["failed"]] == [3, 4]  # type: ignore[attr-defined]
    assert not figures["ok"]
    output = " ".join(capsys.readouterr().out.split())
    assert "FAILED (--seed 7 --first 3 --rounds 1 --kind 'a fault')" in output
    assert problem in output
    assert "could not be cleaned up: Kafka does not answer" in output
