"""What documents show works as it is shown."""

from pathlib import Path

import pytest

from tests.docs import snippets
from tests.docs.snippets import ROOT, Snippet, check_imports, commands, play

PLAYED = {
    "README.md": 10,
    "docs/tutorial.md": 18,
    "docs/how-to/count-in-windows.md": 5,
    "docs/how-to/map-your-events.md": 7,
    "docs/how-to/publish-files.md": 1,
    "docs/how-to/swap-an-adapter.md": 3,
    "docs/how-to/test-your-shop.md": 1,
    "docs/how-to/write-a-source.md": 1,
}
"""Documents whose blocks are run, and how many there are at least."""

COMPILED = {
    "docs/how-to/django.md": ("Django", 6),
    "docs/how-to/fastapi.md": ("FastAPI", 3),
    "docs/how-to/test-your-shop.md": ("testcontainers", 1),
}
"""Documents with code for other packages: which one, and how many blocks there are."""


@pytest.mark.parametrize("name", PLAYED)
def test_a_document_does_what_it_shows(name: str, tmp_path: Path) -> None:
    assert play(ROOT / name, tmp_path) >= PLAYED[name]


@pytest.mark.parametrize("name", COMPILED)
def test_code_for_other_packages_compiles_and_says_for_which_version_it_was_written(name: str) -> None:
    package, count = COMPILED[name]
    found = [snippet for snippet in snippets.snippets(ROOT / name) if snippet.language == "python"]
    for snippet in found:
        check_imports(snippet.text, f"{name}:{snippet.line}")
    assert sum(snippet.is_compiled_only for snippet in found) >= count
    text = (ROOT / name).read_text("utf-8")
    assert f"Written for {package} " in text
    assert "compile" in text


def test_every_page_with_python_is_tried() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    with_python = {
        str(page.relative_to(ROOT))
        for page in pages
        if any(snippet.language == "python" for snippet in snippets.snippets(page))
    }
    assert with_python <= PLAYED.keys() | COMPILED.keys() | {"CONTRIBUTING.md"}  # by tests/extending


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    folders = (ROOT / "docs", ROOT / "docs/how-to")
    pages = [page.relative_to(ROOT / "docs") for folder in folders for page in sorted(folder.glob("*.md"))]
    assert [str(page) for page in pages if str(page) not in index] == []


def test_a_block_that_prints_something_else_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for block in (
        "```python\nprint(1)  # → 2\n```\n",
        "```python\nprint(1)\nraise SystemExit(1)  # → 1\n```\n",
        "```python\ndef test_sum():\n    assert 1 + 1 == 3\n```\n",
        "```python\nfrom fastapi import FastAPI\nfrom realtime_pipeline import NoSuchName\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ false\n```\n",
    ):
        page.write_text(block, "utf-8")
        with pytest.raises(AssertionError, match=r"page\.md:2"):
            play(page, tmp_path)


def test_commands_end_where_their_here_document_ends() -> None:
    text = "$ cat > a <<END\n$ not a command\nEND\n$ true\nshown\n"
    assert commands(text) == [("cat > a <<END\n$ not a command\nEND", []), ("true", ["shown"])]


def test_a_block_names_its_file_in_the_first_line() -> None:
    assert Snippet("python", "# shop/views.py\nx = 1\n", 1).file == "shop/views.py"
    assert Snippet("python", "# A comment.\nx = 1\n", 1).file is None
