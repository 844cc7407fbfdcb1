"""What the documents say of settings and types is what the code has."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Pipeline
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/settings.md").read_text("utf-8")
LIBRARY = (ROOT / "docs/library.md").read_text("utf-8")
EVENTS = (ROOT / "docs/events.md").read_text("utf-8")


def test_the_documented_settings_are_all_settings_with_their_defaults(tmp_path: Path) -> None:
    documented = re.search(r"```toml\n(.*?)```", SETTINGS, re.DOTALL)
    assert documented is not None
    file = tmp_path / "settings.toml"
    file.write_text(documented[1], "utf-8")
    loaded = load_settings(file, {})
    assert attrs.evolve(loaded, event_types={}) == Settings()
    groups_and_names = re.findall(r"^(?:\[([\w.]+)\]|(\w+) =)", documented[1], re.MULTILINE)
    group, written = "", set[str]()
    for named_group, name in groups_and_names:
        group = named_group or group
        if name:
            written.add(f"{group}.{name}" if group else name)
    elsewhere = {"event_types", "mapping", "sources", "kafka.librdkafka", "fold.exclude", "fold.windows"}
    assert written >= names_of_settings() - elsewhere


def names_of_settings() -> set[str]:
    """Every setting by its whole path, as `worker.idle_wait_ms`."""
    return set(_paths(attrs.asdict(Settings()), ()))


def _paths(tree: dict[str, object], within: tuple[str, ...]) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*within, name))
        else:
            yield ".".join((*within, name))


def test_the_documented_methods_have_the_arguments_of_the_real_ones() -> None:
    documented = {
        name: re.findall(r"(\w+)(?:=[^,]*)?(?:, |$)", arguments)
        for name, arguments in re.findall(r"^\| `(\w+)\((.*?)\)` \|", LIBRARY, re.MULTILINE)
    }
    real = {
        name: [argument for argument in inspect.signature(method).parameters if argument != "self"]
        for name, method in inspect.getmembers(Pipeline, inspect.isfunction)
        if not name.startswith("_") and name != "close"
    }
    assert documented == real


def test_every_type_name_is_documented() -> None:
    for names in TYPE_NAMES.values():
        assert ", ".join(f"`{name}`" for name in names) in EVENTS


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))],
)
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]*))?\)", document.read_text("utf-8")):
        file = document.parent / target if target else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


def anchors(file: Path) -> set[str]:
    """The headings of a document as links name them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
