"""Whoever searches for a word of the field finds the place: in the code, and in docs/glossary.md."""

import re
from pathlib import Path

import pytest

from tests.docs.test_docs import names_of_settings

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/realtime_pipeline"
GLOSSARY = (ROOT / "docs/glossary.md").read_text("utf-8")
WORDS = ("offset", "evict", "alias", "rebalance", "back-pressure", "outbox", "dedupe", "linger")
OURS = (
    "cell",
    "view cell",
    "epoch",
    "fence",
    "position",
    "watermark",
    "tick",
    "outbox",
    "relay",
    "dead letter",
    "tombstone",
    "alias",
    "candidate",
    "neighbour",
    "segment",
    "environment",
    "in doubt",
)


def row_of(word: str) -> list[str]:
    """The row of a table of the glossary, by its first column."""
    rows = [line.strip("| ").split(" | ") for line in GLOSSARY.splitlines() if line.startswith("| ")]
    (found,) = (row for row in rows if row[0] == word and len(row) == 4)
    return found


def occurs(word: str, text: str) -> bool:
    return re.search(word, text.replace("TypeAlias", ""), re.IGNORECASE) is not None


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_field_is_in_the_code_where_the_glossary_says(word: str) -> None:
    sources = [file for file in SRC.rglob("*") if file.suffix in {".py", ".lua", ".sql"}]
    assert any(occurs(word, file.read_text("utf-8")) for file in sources)
    _, files, settings, _ = row_of(word)
    named = re.findall(r"`([\w/]+\.\w+)`", files)
    assert named
    stem = word.replace("-", "-?").removesuffix("e")  # rebalancing, deduplication
    assert all(occurs(stem, (SRC / name).read_text("utf-8") + name) for name in named), named
    assert set(re.findall(r"`([\w.]+)`", settings)) <= names_of_settings()


@pytest.mark.parametrize("word", OURS)
def test_a_word_of_ours_is_defined(word: str) -> None:
    assert re.search(rf"^\| {word} \| [A-Z]", GLOSSARY, re.MULTILINE)
