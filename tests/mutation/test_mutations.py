"""Each safeguard switched off in a copy of the code: the suite must go red, else nothing guards the safeguard."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.services.kafka import libraries
from tests.mutation import (
    catalogue,
    codecs,
    exclusion,
    files_and_system,
    fold,
    kafka,
    maintenance,
    postgres,
    processing,
    profile_and_views,
    queues,
    recommendation,
    redis,
    sources,
    sqlite,
    windows,
)
from tests.mutation.mutation import Mutation

ROOT = Path(__file__).parents[2]
SOURCE = "src/realtime_pipeline/"
AREAS = (
    catalogue,
    codecs,
    exclusion,
    files_and_system,
    fold,
    kafka,
    maintenance,
    postgres,
    processing,
    profile_and_views,
    queues,
    recommendation,
    redis,
    sources,
    sqlite,
    windows,
)
MUTATIONS = [mutation for area in AREAS for mutation in area.MUTATIONS]
LONG = (
    "tests/laws",
    "tests/integration",
    "tests/infrastructure/kafka",
    "tests/infrastructure/kinesis",
    "tests/infrastructure/postgres",
    "tests/infrastructure/redis",
)
BOUND_S = 240
"""A suite that has not ended by then hangs: not green either."""


@pytest.mark.mutation
def test_the_suite_is_green_as_it_is(tmp_path: Path) -> None:
    """Else what follows would prove nothing: a file that the copy lacks would turn it red, too.

    The laws and the tests on servers need no file that these do not need, and take as long as all others.
    """
    named = {test for mutation in MUTATIONS for test in mutation.tests}
    ended = _tested(tmp_path, tuple(sorted(name for name in named if not name.startswith(LONG))))
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
    for name in ("docs", "deploy"):
        shutil.copytree(ROOT / name, folder / name)
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
        "HYPOTHESIS_PROFILE": "mutation",
        "REALTIME_PIPELINE_SERVICES": str(libraries().parent),
    }
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "it came to no end", "")
