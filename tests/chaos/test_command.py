"""What a round comes to that goes wrong in ways of its own."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.chaos.rounds import Outcome
from harness.commands import chaos as command
from harness.support.errors import HarnessError


class ClusterUnderTest:
    """A round whose stores differ, and whose servers are gone when it is cleared away."""

    def __init__(self, *_: object) -> None:
        pass

    def differences(self) -> list[str]:
        return ["customer ada: spend is 4.00, should be 8.00"]

    def said(self) -> list[str]:
        return ["the worker's last words"]

    def close(self) -> None:
        raise HarnessError("Kafka does not answer")


@contextmanager
def no_servers(_: Path) -> Iterator[None]:
    yield


def refused(_: object) -> Outcome:
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("play", "found"),
    [
        (lambda _: Outcome(), "customer ada: spend is 4.00, should be 8.00"),
        (refused, "Connection refused"),
    ],
)
def test_a_round_that_fails_says_how_and_the_next_is_played(
    play: object, found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ClusterUnderTest", ClusterUnderTest)
    monkeypatch.setattr(command, "servers", no_servers)
    monkeypatch.setattr(command, "KINDS", {"a fault": play})
    figures = command.run(Namespace(seed=7, first=3, rounds=2, kind=None))
    assert [failed["round"] for failed in figures["failed"]] == [3, 4]  # type: ignore[attr-defined]
    assert not figures["ok"]
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILED (--seed 7 --first 3 --rounds 1 --kind 'a fault')" in said
    assert found in said
    assert "could not be cleared away: Kafka does not answer" in said
