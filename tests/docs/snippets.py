"""The code blocks of a document, run from top to bottom as a reader would run them.

| block | what is done with it |
|---|---|
| `python` | run; what it prints must be the text behind each `# → `. With `def test_…` in it, pytest runs it |
| `python` that imports FastAPI, Django or testcontainers | compiled, and its imports from this library are checked |
| `console` | each command behind `$ ` is run; where output is shown, it must be that. `…` stands for any text |
| `toml`, `python`, `json` that begins with `# NAME` | written to the file NAME first |
| anything else, such as `sh` | only shown |
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
BOUND_S: Final = 60

COMPILED_ONLY: Final = frozenset(("django", "fastapi", "testcontainers"))
"""Packages that the tests do not install."""

OWN: Final = "realtime_pipeline"


@attrs.frozen
class Snippet:
    """A code block: its language, its text, the line of the document on which the text begins."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the first line names, as in `# publish.py`."""
        named = re.match(r"# ([\w/.-]+\.\w+)\n", self.text)
        return None if named is None else named[1]

    @property
    def is_compiled_only(self) -> bool:
        """Whether it needs packages that the tests do not install."""
        return bool(COMPILED_ONLY & {module.partition(".")[0] for module, _ in imports(self.text)})


def snippets(document: Path) -> list[Snippet]:
    """All code blocks of a document, in order."""
    text = document.read_text("utf-8")
    blocks = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Snippet(block[1], block[2], text.count("\n", 0, block.start(2)) + 1) for block in blocks]


def imports(code: str) -> Iterator[tuple[str, str | None]]:
    """The modules that code imports, each with the name that is taken from it, if any."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def play(document: Path, folder: Path) -> int:
    """Run the blocks of a document in a folder; return how many were run. Fails with the line that is wrong."""
    played = 0
    for snippet in snippets(document):
        where = f"{document.name}:{snippet.line}"
        if snippet.file is not None:
            file = folder / snippet.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(snippet.text, "utf-8")
        if snippet.language == "python":
            if snippet.is_compiled_only:
                check_imports(snippet.text, where)
            else:
                _run_python(snippet, folder, where)
                played += 1
        elif snippet.language == "console":
            for command, shown in commands(snippet.text):
                _run_command(command, shown, folder, where)
                played += 1
    return played


def check_imports(code: str, where: str) -> None:
    """See that code compiles, and that this library has the names which it imports."""
    compile(code, where, "exec")
    for module, name in imports(code):
        if module.partition(".")[0] == OWN:
            found = import_module(module)
            assert name is None or hasattr(found, name), f"{where}: {module} has no {name}"


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, here documents included, each with the output that is shown."""
    found: list[tuple[str, list[str]]] = []
    until = ""
    for line in text.splitlines():
        if until or (found and found[-1][0].endswith("\\")):
            command, shown = found[-1]
            found[-1] = (f"{command}\n{line}", shown)
            until = "" if line == until else until
        elif line.startswith("$ "):
            found.append((line[2:], []))
            here = re.search(r"<<(\w+)$", line)
            until = "" if here is None else here[1]
        else:
            found[-1][1].append(line)
    return found


def _run_python(snippet: Snippet, folder: Path, where: str) -> None:
    file = folder / (snippet.file or f"snippet_{snippet.line}.py")
    file.write_text(snippet.text, "utf-8")
    if re.search(r"^def test_", snippet.text, re.MULTILINE):
        ended = _ended(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", file.name], folder
        )
        assert ended.returncode == 0, f"{where}: {ended.stdout}"
        return
    ended = _ended([sys.executable, file.name], folder)
    assert ended.returncode == 0, f"{where}: {ended.stderr}"
    shown = [line.partition("# → ")[2] for line in snippet.text.splitlines() if "# → " in line]
    _check_shown(shown, ended.stdout.splitlines(), where)


def _run_command(command: str, shown: list[str], folder: Path, where: str) -> None:
    ended = _ended(["bash", "-c", command], folder)
    output = ended.stdout if ended.returncode == 0 else ended.stderr
    assert ended.returncode == 0 or shown, f"{where}: {command}: {ended.stderr}"
    if shown:
        _check_shown(shown, output.splitlines(), f"{where}: {command}")


def _check_shown(shown: list[str], printed: list[str], where: str) -> None:
    pattern = "\n".join(".*".join(map(re.escape, line.split("…"))) for line in shown)
    text = "\n".join(line.rstrip() for line in printed)
    assert re.fullmatch(pattern, text, re.DOTALL), f"{where}: shown is\n{chr(10).join(shown)}\nprinted is\n{text}"


def _ended(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where `python` and `realtime-pipeline` are those of this checkout."""
    programs = folder / ".programs"
    if not programs.exists():
        programs.mkdir()
        for name, arguments in (("python", ""), (f"{OWN.replace('_', '-')}", f"-m {OWN}.interfaces.cli.main ")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', "utf-8")
            program.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith("REALTIME_PIPELINE_")}
    environment = own | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
