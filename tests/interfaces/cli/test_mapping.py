"""`realtime-pipeline mapping` lists mappings and shows one to copy from; `publish --mapping` uses them."""

import tomllib
from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Settings
from realtime_pipeline.composition.mappings import find_mapping
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.infrastructure.mappings.shipped import shipped, shipped_names
from tests.support.commands import ran

FIXTURES = Path(__file__).parents[2] / "fixtures/mappings"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REALTIME_PIPELINE_DATABASE", str(tmp_path / "shop.db"))
    return tmp_path


def settings_with(folder: Path, text: str) -> str:
    file = folder / "settings.toml"
    file.write_text(text, "utf-8")
    return str(file)


def test_all_mappings_are_listed_and_no_database_is_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "mapping", "list")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == list(shipped_names())
    assert all(line.partition("  ")[2].strip() for line in lines)
    assert not (folder / "shop.db").exists()
    own = settings_with(folder, "[mapping.shop]\nlike = 'rees46'\n")
    assert "shop            of the settings\n" in ran(capsys, "mapping", "list", "--settings", own)[1]


def test_a_mapping_is_shown_as_toml(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "mapping", "show", "segment")
    assert code == 0
    assert tomllib.loads(out) == shipped("segment")
    assert out.startswith("# Segment and RudderStack: ")


def test_a_mapping_that_cannot_be_shown_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "mapping", "show", "segmnt")
    assert (code, err) == (1, 'realtime-pipeline: there is no mapping "segmnt": did you mean segment?\n')


@pytest.mark.parametrize("name", shipped_names())
def test_a_mapping_of_the_settings_is_shown_complete(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = settings_with(folder, f"[mapping.shop]\nlike = '{name}'\ntimezone = 'Europe/Berlin'\n")
    code, out, _ = ran(capsys, "mapping", "show", "shop", "--settings", own)
    assert code == 0
    shown = load_settings(settings_with(folder, out), {}).mapping["shop"]
    assert shown == attrs.evolve(find_mapping(Settings(), name), timezone="Europe/Berlin")


def test_a_file_is_published_by_a_mapping(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = settings_with(folder, "currency = 'EUR'\n")
    file = str(FIXTURES / "segment.jsonl")
    code, out, _ = ran(capsys, "publish", "--mapping", "segment", file, "--settings", own)
    assert code == 0
    assert "left out by the mapping: page 1" in out.splitlines()
    assert "19 events were published" in out
    assert "1 dead letter" in ran(capsys, "worker", "--until-caught-up", "--settings", own)[1]
    assert "segment.jsonl:16  not_json" in ran(capsys, "dead-letters", "list", "--settings", own)[1]
    assert "32.40" in ran(capsys, "profile", "ada", "--settings", own)[1]


def test_publishing_without_the_shop_s_currency_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "publish", "--mapping", "segment", str(FIXTURES / "segment.jsonl"))
    assert code == 1
    assert 'set the shop\'s own, such as currency = "EUR"' in err.splitlines()[-1]
