"""kill -9 of `publish` while it reads files: run again, the log has what an undisturbed run publishes, each once."""

import gzip
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import msgspec
import pytest

from harness.checking.compare import compare
from harness.simulation.shop import Shop
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.composition.settings import LogName
from tests.support.faults import finished, killed, log_of, settings_file

LINES = 2_300
"""Of each file: two batches."""
START_MS = 1_700_000_000_000
KILLS = ((Stage.SOURCE_READ, 2), (Stage.SOURCE_PUBLISHED, 1), (Stage.SOURCE_READ, 1), (Stage.SOURCE_PUBLISHED, 2))
"""Where each process is killed, and at which time it gets there: within a file, and at the border of two."""

MAPPING = """
[mapping.till]
format = "csv"
delimiter = ";"
decimal = ","
types = {Verkauf = "purchase", Storno = "refund"}
[mapping.till.fields]
event_type = "Art"
user_id = "Kunde"
timestamp = "Zeit"
product_id = "Artikel"
price = "Preis"
order_id = "Bon"
"""


def json_lines(number: int) -> bytes:
    """Events of which none has an id, so that the customers' memory of ids hides no copy; some are garbage."""
    events = Shop(number, 40, 20, START_MS, dirt=0.05).events(LINES)
    lines = [msgspec.json.encode({name: event[name] for name in event if name != "event_id"}) for event in events]
    return b"\n".join(lines[:LINES]) + b"\n"


def csv_rows(number: int) -> bytes:
    """Sales and refunds, none with an id; some rows are equal, and some are ragged."""
    rows = ["Art;Bon;Kunde;Zeit;Artikel;Preis"]
    for row in range(LINES):
        kind, customer = ("Storno" if row % 11 == 0 else "Verkauf"), f"customer-{row % 19}"
        rows.append(
            f"{kind};{number}-{row // 3};{customer};{START_MS + 1_000 * (row // 2)};mug-{row % 7};{row % 90},50"
        )
        if row % 100 == 0:
            rows[-1] += ";more"
    return "\n".join(rows).encode() + b"\n"


@attrs.frozen
class Way:
    """A way to publish: what files have, what they are called, and the options of the command."""

    made: Callable[[int], bytes]
    ending: str
    options: tuple[str, ...]
    is_watched: bool

    def write(self, folder: Path, number: int) -> Path:
        """Put a file into the folder, whole and not changed for some time."""
        content, file = self.made(number), folder / f"{number}.{self.ending}"
        part = folder / f".{number}"
        part.write_bytes(gzip.compress(content) if self.ending.endswith("gz") else content)
        os.utime(part, (time.time() - 60, time.time() - 60))
        return part.rename(file)

    def command(self, folder: Path) -> list[str]:
        """The arguments of `realtime-pipeline`."""
        if self.is_watched:
            return ["publish", *self.options, "--watch", str(folder)]
        return ["publish", *self.options, "--once", *map(str, sorted(folder.iterdir()))]


WAYS = {
    "once, jsonl.gz": Way(json_lines, "jsonl.gz", (), is_watched=False),
    "once, csv by mapping": Way(csv_rows, "csv", ("--mapping", "till"), is_watched=False),
    "watch, jsonl.gz": Way(json_lines, "jsonl.gz", (), is_watched=True),
    "watch, csv by mapping": Way(csv_rows, "csv", ("--mapping", "till"), is_watched=True),
}


@pytest.mark.parametrize(
    ("way", "log"),
    [
        *((name, "sqlite") for name in WAYS),
        pytest.param("once, jsonl.gz", "kafka", marks=pytest.mark.xdist_group("kafka")),
        pytest.param("watch, csv by mapping", "kafka", marks=pytest.mark.xdist_group("kafka")),
    ],
)
def test_files_whose_publication_was_killed_are_published_once(tmp_path: Path, way: str, log: LogName) -> None:
    """A file comes after each of the first two kills."""
    publishing, inbox, settings = WAYS[way], tmp_path / "inbox", settings_file(tmp_path, log, MAPPING)
    inbox.mkdir()
    publishing.write(inbox, 1)
    for number, (stage, times) in enumerate(KILLS, 2):
        killed(settings, publishing.command(inbox), stage, times)
        if number < 4:
            publishing.write(inbox, number)
    expected = undisturbed(tmp_path, attrs.evolve(publishing, is_watched=False).command(inbox))
    records = sum(map(len, expected.values()))
    assert records == 3 * LINES
    finished(settings, publishing.command(inbox), records if publishing.is_watched else None)
    assert_exact(settings, expected)


def test_a_file_that_grows_while_its_publication_is_killed_is_published_once(tmp_path: Path) -> None:
    """Each piece that is appended ends within a line."""
    content, file, settings = json_lines(7), tmp_path / "events.jsonl", settings_file(tmp_path, "sqlite")
    command = ["publish", "--follow", str(file)]
    for number, stage in enumerate((Stage.SOURCE_READ, Stage.SOURCE_PUBLISHED) * 2, 1):
        file.write_bytes(content[: number * len(content) // 5])
        killed(settings, command, stage, 1)
    file.write_bytes(content)
    expected = undisturbed(tmp_path, ["publish", "--once", str(file)])
    finished(settings, command, sum(map(len, expected.values())))
    assert_exact(settings, expected)


def undisturbed(folder: Path, command: Sequence[str]) -> dict[int, list[bytes]]:
    """The log that a command makes that nobody kills."""
    folder = folder / "undisturbed"
    folder.mkdir()
    settings = settings_file(folder, "sqlite", MAPPING)
    finished(settings, command)
    return log_of(settings)


def assert_exact(settings: Path, expected: dict[int, list[bytes]]) -> None:
    """The log has exactly these records, and the stores are what the oracle computes from them."""
    assert log_of(settings) == expected
    with Pipeline(load_settings(settings, {})) as pipeline:
        pipeline.process()
        assert compare(pipeline)[1] == []
