"""What the README shows works as it is shown."""

import re
import runpy
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_a_snippet_of_the_readme_runs_and_says_what_it_says(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    snippet = snippets()[number]
    file = tmp_path / "snippet.py"
    file.write_text(snippet, "utf-8")
    runpy.run_path(str(file))
    shown = [line.partition("# → ")[2] for line in snippet.splitlines() if "# → " in line]
    assert shown
    assert capsys.readouterr().out.splitlines() == shown


def test_every_snippet_is_tried() -> None:
    assert len(snippets()) == 2
