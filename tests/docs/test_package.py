"""What the package says of itself: its version, its changelog, its hooks."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import realtime_pipeline
from realtime_pipeline.interfaces.cli.main import main
from tests.docs.test_docs import names_of_settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_version_is_written_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    own = realtime_pipeline.__version__
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/realtime_pipeline/__init__.py"
    assert version("realtime-pipeline") == own
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"realtime-pipeline {own}\n")
    assert f"\n## {own}\n" in CHANGELOG or f"\n## [{own}]" in CHANGELOG


def test_the_changelog_has_what_is_not_released_yet_on_top() -> None:
    assert re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[0] == "[Unreleased]"


def test_the_changelog_names_settings_that_exist_and_others_that_do_not_any_more() -> None:
    rows = re.findall(r"^\| `\[([\w.]+)\]`[^|]* \| `(\w+)` \| `(\w+)` \|$", CHANGELOG, re.MULTILINE)
    known = set(names_of_settings())
    assert len(rows) > 20
    assert {f"{group}.{new}" for group, _, new in rows} <= known
    assert not {f"{group}.{old}" for group, old, _ in rows} & known


def test_the_hooks_are_the_checks_of_make_test() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(.*)$", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    tools = [" ".join(word for word in hook.split() if not word.startswith("--")) for hook in hooks]
    assert tools == ["ruff check", "ruff format", "mypy", "lint-imports"]
    assert all(f"$(BIN)/{tool}" in makefile for tool in tools)
