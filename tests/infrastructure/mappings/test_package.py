"""The files of the shipped mappings: their names, their paths, their place in the package."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from realtime_pipeline import Settings
from realtime_pipeline.composition.mappings import complete_mappings, find_mapping
from realtime_pipeline.composition.setting_names import Sources
from realtime_pipeline.domain.conditions import is_present
from realtime_pipeline.domain.mapping.compiled import CompiledMapping
from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, as_field
from realtime_pipeline.domain.paths import Scope, compile_path
from realtime_pipeline.infrastructure.codecs.events import TYPE_NAMES, EventDecoder, EventLimits
from realtime_pipeline.infrastructure.files.source import FileSource
from realtime_pipeline.infrastructure.mappings.shipped import shipped, shipped_names, shipped_text
from tests.infrastructure.mappings.published import FIXTURES, format_of

ROOT: Final = Path(__file__).parents[3]
NEXT_TYPES: Final = {"product_updated", "stock_adjustment", "test_order"}
"""Types that the decoder ignores."""


def documents(name: str, mapping: EventMapping) -> Iterator[Mapping[str, Any]]:
    """The records of all fixtures of a mapping that are documents."""
    parse = EventDecoder(EventLimits(), {}).parse
    for file in sorted((FIXTURES / "mappings").glob(f"{name}*")):
        if not file.stem.removeprefix(name).strip("-2"):
            source = FileSource(str(file), [file], format_of(mapping, file))
            source.open({})
            while (batch := source.read(100, 0.0)) is not None:
                for record in batch.records:
                    if isinstance(record.value, bytes):
                        try:
                            yield parse(record.value)
                        except ValueError:
                            continue
                    elif isinstance(record.value, Mapping):
                        yield record.value


def scopes(rule: EventRule, document: Mapping[str, Any]) -> Iterator[Scope]:
    """The record, and the elements that a rule splits it into; conditions are not looked at."""
    found: list[tuple[Any, ...]] = [(document,)]
    yield from found
    for level, path in enumerate(rule.split.values()):
        get = compile_path(path, list(rule.split)[:level])
        found = [(*scope, element) for scope in found for element in get(scope) or ()]
        yield from found


def paths(mapping: EventMapping, rule: EventRule) -> set[str]:
    """All paths that a rule reads."""
    fields = [as_field(spec) for spec in {**mapping.fields, **rule.fields}.values()]
    read = {path for field in fields for path in field.all_paths}
    return read | {*rule.when, *rule.unless, *rule.split.values()}


@pytest.mark.parametrize("name", shipped_names())
def test_every_name_in_a_mapping_exists(name: str) -> None:
    complete_mappings({"mapping": {name: shipped(name)}}, Sources(name))
    mapping = find_mapping(Settings(), name)
    CompiledMapping(name, mapping, Rates("EUR", ()))


@pytest.mark.parametrize("name", shipped_names())
def test_every_path_of_a_mapping_is_in_its_fixture(name: str) -> None:
    mapping = find_mapping(Settings(), name)
    known = list(documents(name, mapping))
    missing = set[str]()
    read_somewhere = set[str]()
    for rule in mapping.events:
        variables = list(rule.split)
        for path in paths(mapping, rule):
            gets = [compile_path(path, variables[:level]) for level in range(len(variables) + 1)]
            found = any(
                is_present(gets[len(scope) - 1](scope)) for document in known for scope in scopes(rule, document)
            )
            (read_somewhere if found else missing).add(path)
    assert missing - read_somewhere == set()


@pytest.mark.parametrize("name", shipped_names())
def test_every_type_that_a_mapping_gives_means_something(name: str) -> None:
    mapping = find_mapping(Settings(), name)
    own = {*mapping.types.values()}
    own |= {
        str(field.constant)
        for rule in mapping.events
        for spec in (rule.fields.get("event_type"), mapping.fields.get("event_type"))
        if spec is not None and (field := as_field(spec)).constant is not None
    }
    assert own - {type_ for types in TYPE_NAMES.values() for type_ in types} <= NEXT_TYPES
    assert own


@pytest.mark.parametrize("name", shipped_names())
def test_a_mapping_begins_with_what_it_is_for_and_the_page_that_specifies_it(name: str) -> None:
    comment = shipped_text(name).partition("\n\n")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "# Specification: " in comment
    assert "https://" in comment
    assert any(word in comment for word in ("Money", "no price"))


def test_the_mappings_are_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hatchling = pytest.importorskip("hatchling.build")
    monkeypatch.chdir(ROOT)
    wheel = hatchling.build_wheel(str(tmp_path))
    packed = set(zipfile.ZipFile(tmp_path / wheel).namelist())
    assert {f"realtime_pipeline/infrastructure/mappings/{name}.toml" for name in shipped_names()} <= packed
