"""kill -9 while events are delivered into a folder: run again, the folder has each once."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from realtime_pipeline import FileSink, Pipeline, Settings
from realtime_pipeline.infrastructure.atomic_file import PART
from tests.support.histories import append, event

EVENTS = 40

KILLED = """
import os, signal, sys
from realtime_pipeline import FileSink, Pipeline, Settings
from realtime_pipeline.application.delivery.run_sink import RunSink
from realtime_pipeline.infrastructure.codecs.documents import find_document

database, folder, call, times = sys.argv[1:]
left, original = int(times), getattr(os, call)

def killed(*arguments):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

with Pipeline(Settings(database=database)) as pipeline:
    container, sink = pipeline.container, FileSink(folder)
    sink.bind(container.log().identity.log_id)
    setattr(os, call, killed)
    RunSink(container.log(), container.log_reader(), container.decoder(), find_document, records_max=3).catch_up(sink)
"""
"""Delivers three records a batch, and kills itself before a call of the operating system."""


@pytest.mark.parametrize(
    ("call", "times", "leaves_part"),
    [("fsync", 1, True), ("fsync", 4, False), ("fsync", 5, True), ("link", 1, True), ("link", 6, True)],
)
def test_a_killed_delivery_is_run_again(tmp_path: Path, call: str, times: int, leaves_part: bool) -> None:
    """Of each batch the first fsync is the file's, before it has its name; the second is the folder's."""
    database, folder = str(tmp_path / "shop.db"), tmp_path / "events"
    with Pipeline(Settings(database=database, partitions=1)) as pipeline:
        append(pipeline, [*(event(str(number)) for number in range(EVENTS)), b"garbage"])
    arguments = [sys.executable, "-c", KILLED, database, str(folder), call, str(times)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert any(file.name.endswith(PART) for file in folder.iterdir()) == leaves_part
    complete = sum(1 for _ in folder.glob("*.jsonl"))
    assert complete == (times // 2 if call == "fsync" else times - 1)
    with Pipeline(Settings(database=database)) as pipeline:
        assert pipeline.deliver(FileSink(folder)) == EVENTS - 3 * complete
        assert pipeline.deliver(FileSink(folder)) == 0
        positions = FileSink(folder).positions([0])
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    assert [msgspec.json.decode(line)["event_id"] for line in lines] == [str(number) for number in range(EVENTS)]
    assert positions == {0: EVENTS + 1}
