"""What the documents say of settings and types is what the code has."""

import re
from pathlib import Path

import attrs
import pytest

from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/settings.md").read_text("utf-8")
EVENTS = (ROOT / "docs/events.md").read_text("utf-8")


def test_the_documented_settings_are_all_settings_with_their_defaults(tmp_path: Path) -> None:
    documented = re.search(r"```toml\n(.*?)```", SETTINGS, re.DOTALL)
    assert documented is not None
    file = tmp_path / "settings.toml"
    file.write_text(documented[1], "utf-8")
    loaded = load_settings(file, {})
    assert attrs.evolve(loaded, event_types={}) == Settings()
    names = {line.split(" =")[0] for line in documented[1].splitlines() if " =" in line}
    assert names >= {name for name in _names(attrs.asdict(Settings())) if name not in {"event_types", "librdkafka"}}


def _names(tree: dict[str, object]) -> set[str]:
    found: set[str] = set()
    for name, value in tree.items():
        found |= _names(value) if isinstance(value, dict) and value else {name}
    return found


def test_every_type_name_is_documented() -> None:
    for names in TYPE_NAMES.values():
        assert ", ".join(f"`{name}`" for name in names) in EVENTS


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target
