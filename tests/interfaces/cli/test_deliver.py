"""`realtime-pipeline deliver`, as its users know it."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.interfaces.cli.main import main
from tests.support.histories import append, event


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    settings = Settings(database=str(tmp_path / "shop.db"), partitions=1)
    published(settings, event("1"), event("2"), b"garbage")
    return settings


def published(settings: Settings, *values: bytes | dict[str, Any]) -> None:
    with Pipeline(settings) as pipeline:
        append(pipeline, values)


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        code = main(arguments)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def lines_in(folder: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in folder.glob("*.jsonl"))


def test_events_are_delivered_once(shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports = tmp_path / "exports"
    deliver = "deliver", "files", str(exports)
    code, out, err = ran(capsys, *deliver)
    assert (code, out, err) == (0, f"2 events delivered to {exports}\n", "2 events delivered\n")
    assert ran(capsys, *deliver)[1] == f"0 events delivered to {exports}\n"
    assert ran(capsys, "worker", "--until-caught-up")[0] == 0
    published(shop, event("3"))
    assert ran(capsys, *deliver)[1] == f"1 event delivered to {exports}\n"
    assert lines_in(exports) == 3
    next(exports.glob("*.jsonl")).unlink()
    (exports / "sink.json").unlink()
    code, out, err = ran(capsys, *deliver)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"realtime-pipeline: {exports} has events and no sink.json: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("deliver", "table", "exports"), "invalid choice"),
        (("deliver", "files"), "PLACE"),
        (("deliver", "files", "exports", "--every", "0"), "must be a number of seconds, more than 0"),
        (("deliver", "files", "exports", "--every", "soon"), "must be a number of seconds, more than 0"),
    ],
)
def test_what_is_not_understood(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_following_ends_with_the_count_when_it_is_asked_to(shop: Settings, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    command = [sys.executable, "-m", "realtime_pipeline.interfaces.cli.main"]
    command += ["deliver", "files", str(exports), "--follow", "--every", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        try:
            for number in (2, 3, 4, 5):
                deadline = time.monotonic() + 60
                while lines_in(exports) < number:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                if number < 5:
                    published(shop, event(str(number + 1)))
            following.send_signal(signal.SIGTERM)
            printed, said = following.communicate(timeout=20)
        finally:
            following.kill()
    assert (following.returncode, printed) == (0, f"5 events delivered to {exports}\n")
    assert said.startswith(f"delivering to {exports}; stop with Ctrl-C\n")
