"""Each safeguard switched off in a copy of the code: the suite must go red, else nothing guards the safeguard."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "src/realtime_pipeline/"


@attrs.frozen
class Mutation:
    """One line of the code, and what it becomes; the tests named are the ones expected to notice."""

    name: str
    file: str
    line: str
    becomes: str
    tests: tuple[str, ...] = ("tests/infrastructure", "tests/application", "tests/laws")


MUTATIONS = [
    Mutation(
        "one verdict for a whole batch",
        "domain/streams/fold.py",
        "            if recorded.verdict is not Verdict.APPLIED:\n",
        "            self.verdict = getattr(self, 'verdict', recorded.verdict)\n"
        "            if self.verdict is not Verdict.APPLIED:\n"
        "                recorded = type(recorded)(self.verdict)\n",
    ),
    Mutation(
        "no duplicate check",
        "domain/shop/event_memory.py",
        "        if found >= 0:\n",
        "        if False:\n",
    ),
    Mutation(
        "nothing is too old",
        "domain/shop/event_memory.py",
        "        if event.occurred_at_ms <= self.floor_ms and not event.replayed:\n",
        "        if False:\n",
    ),
    Mutation(
        "the tombstone refuses nothing",
        "domain/shop/customer.py",
        "        if at_ms <= self.forgotten_at_ms:\n",
        "        if False:\n",
    ),
    Mutation(
        "products trimmed by arrival",
        "domain/shop/customer.py",
        "            del recent[min(recent, key=lambda product: (recent[product], product))]\n",
        "            del recent[next(iter(recent))]\n",
    ),
    Mutation(
        "sessions listed by arrival, in memory",
        "infrastructure/memory/views.py",
        "                del listed[min(listed, key=lambda one: (listed[one], one))]\n",
        "                del listed[next(iter(listed))]\n",
    ),
    Mutation(
        "sessions listed by arrival, in SQLite",
        "infrastructure/sqlite/views.py",
        'WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)"',
        'WHERE product = ?1 ORDER BY session_key DESC LIMIT ?2)"',
    ),
    Mutation(
        "no fence, in memory",
        "infrastructure/memory/cells.py",
        "        if (commit.epoch, commit.from_position, commit.number) != ",
        "        if False and () != ",
    ),
    Mutation(
        "no fence, in SQLite",
        "infrastructure/sqlite/cells.py",
        "            if moved.rowcount != 1:\n",
        "            if False:\n",
    ),
    Mutation(
        "an earlier owner may merge",
        "infrastructure/sqlite/views.py",
        "        if any(stands.get(one.partition, (0, 0))[0] != one.epoch for one in ranges):\n",
        "        if False:\n",
    ),
    Mutation(
        "a merge may be repeated",
        "infrastructure/sqlite/views.py",
        "        if any(stands[one.partition][1] != one.from_position for one in ranges):\n",
        "        if False:\n",
    ),
    Mutation(
        "a round is not one transaction",
        "infrastructure/sqlite/cells.py",
        "        with self._database.transaction():\n            yield\n",
        "        yield\n",
        ("tests/infrastructure", "tests/application", "tests/crash"),
    ),
    Mutation(
        "records are folded again when they are read again",
        "application/process_events.py",
        "            if cell is not None and record.position >= cell.position:\n",
        "            if cell is not None:\n",
    ),
    Mutation(
        "misrouted records are folded",
        "application/process_events.py",
        "            if belongs != record.partition:\n",
        "            if False:\n",
    ),
    Mutation(
        "memory survives a refusal",
        "application/process_events.py",
        "        self._held.clear()\n        self._log.seek(self.gained(sorted(self._assigned)))\n",
        "        before = dict(self._held)\n        self._log.seek(self.gained(sorted(self._assigned)))\n"
        "        for partition, cell in before.items():\n"
        "            self._held[partition].customers = cell.customers\n",
    ),
    Mutation(
        "kept entries are not delivered",
        "application/claim_cells.py",
        "            self._readers.merge([(cell, entry)])\n",
        "",
    ),
    Mutation(
        "batches are not cut where a reader stands",
        "application/cells.py",
        "        return min(ahead, default=to_position)\n",
        "        return to_position\n",
    ),
    Mutation(
        "an acknowledged publish is undone",
        "infrastructure/sqlite/log.py",
        "            self._stages.reached(Stage.APPENDED, len(records))\n",
        "            self._stages.reached(Stage.APPENDED, len(records))\n"
        '            connection.execute("ROLLBACK"); connection.execute("BEGIN")\n',
        ("tests/infrastructure",),
    ),
]

MUTATIONS += [
    Mutation(
        "an acknowledged publish is not synced",
        "infrastructure/sqlite/database.py",
        "'FULL' if durable else 'NORMAL'",
        "'OFF'",
        ("tests/infrastructure",),
    ),
    Mutation(
        "an interrupted poll is not read again",
        "application/process_events.py",
        "        self._sound = False  # until",
        "        # until",
        ("tests/application",),
    ),
    Mutation(
        "a worker whose file was taken over goes on",
        "infrastructure/sqlite/log.py",
        "        if self._subscriber is not None and token != self._token:\n",
        "        if False:\n",
        ("tests/infrastructure",),
    ),
]


@pytest.mark.mutation
def test_the_suite_is_green_as_it_is(tmp_path: Path) -> None:
    """Else what follows would prove nothing."""
    ended = _tested(tmp_path, ("tests/infrastructure", "tests/application", "tests/laws", "tests/crash"))
    assert ended.returncode == 0, ended.stdout[-2_000:]


@pytest.mark.mutation
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_the_suite_goes_red_without(mutation: Mutation, tmp_path: Path) -> None:
    ended = _tested(tmp_path, mutation.tests, mutation)
    assert ended.returncode == 1, f"the suite did not notice:\n{ended.stdout[-2_000:]}\n{ended.stderr[-2_000:]}"


def _tested(folder: Path, tests: tuple[str, ...], mutation: Mutation | None = None) -> subprocess.CompletedProcess[str]:
    """Run tests on a copy of the code, with a line of it changed."""
    for name in ("src", "harness", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    if mutation is not None:
        file = folder / SOURCE / mutation.file
        text = file.read_text("utf-8")
        assert text.count(mutation.line) == 1, "the line is no longer there, or more than once: mend this mutation"
        file.write_text(text.replace(mutation.line, mutation.becomes), "utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["-m", "not mutation and not data", *tests]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_", "PYTEST_"))},
        "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
