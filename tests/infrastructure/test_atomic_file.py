"""An export is complete or does not exist, whatever ends the process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_pipeline import Pipeline, Settings, Unavailable
from realtime_pipeline.infrastructure.atomic_file import PART, write_atomically
from tests.support.histories import append

EXPORT_AND_KILL = """
import argparse, os, sys
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.interfaces.cli.dead_letters import add_dead_letters

class Ends:
    def __init__(self, name, done): ...
    def end(self): ...
    def update(self, number):
        if number == 2:
            os.kill(os.getpid(), int(sys.argv[3]))

parser, settings = argparse.ArgumentParser(), Settings(database=sys.argv[1])
add_dead_letters(parser.add_subparsers(), argparse.ArgumentParser(add_help=False), Ends)
options = parser.parse_args(["dead-letters", "export", sys.argv[2]])
with Pipeline(settings) as pipeline:
    options.command(pipeline, settings, options)
"""
"""Exports letters, and sends itself a signal at the second."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_export_ended_by_a_signal_leaves_no_file_of_that_name(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    database, folder = str(tmp_path / "shop.db"), tmp_path / "exports"
    folder.mkdir()
    with Pipeline(Settings(database=database, partitions=1)) as pipeline:
        append(pipeline, [b"one", b"two", b"three"])
        pipeline.process()
    arguments = [database, str(folder / "letters.jsonl"), str(int(number))]
    ended = subprocess.run([sys.executable, "-c", EXPORT_AND_KILL, *arguments], check=False, timeout=60)
    assert ended.returncode == code
    left = [file.name for file in folder.iterdir()]
    assert "letters.jsonl" not in left
    assert all(name.endswith(PART) for name in left)
    assert len(left) == (0 if number == signal.SIGTERM else 1)


def test_a_file_created_during_the_export_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    with pytest.raises(Unavailable, match="exists already"), write_atomically(file):
        file.write_bytes(b"theirs")
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("letters.jsonl", b"theirs")]


def test_an_error_leaves_no_file_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), write_atomically(tmp_path / "letters.jsonl") as stream:
        stream.write(b"%d" % (1 // 0))
    assert list(tmp_path.iterdir()) == []
    before = signal.getsignal(signal.SIGTERM)
    with write_atomically(tmp_path / "letters.jsonl") as stream:
        stream.write(b"whole")
    assert (tmp_path / "letters.jsonl").read_bytes() == b"whole"
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(FileNotFoundError) as raised, write_atomically(tmp_path / "none" / "letters.jsonl"):
        pass
    assert raised.value.filename == str(tmp_path / "none" / "letters.jsonl")
