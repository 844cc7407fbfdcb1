"""PathCoverage: which paths of a mapping had a value in no record, as a misspelt path has."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from realtime_pipeline.domain.conditions import is_present
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, as_field
from realtime_pipeline.domain.paths import Get, Scope, compile_path

RECORDS_MAX: Final = 1_000
ELEMENTS_MAX: Final = 100
"""How many records, and elements of each, are looked at."""


class PathCoverage:
    """Looks for a value of each field in the first records; conditions of rules are not looked at."""

    def __init__(self, mapping: EventMapping) -> None:
        self._rules = [_Rule(mapping, rule) for rule in mapping.events]
        self._left = RECORDS_MAX

    def add(self, document: Mapping[str, Any]) -> None:
        """Look at a record."""
        if self._left > 0:
            self._left -= 1
            for rule in self._rules:
                rule.add(document)

    def missing(self) -> Mapping[str, str]:
        """By field, the paths of which none had a value in any record."""
        found = {name for rule in self._rules for name in rule.found}
        return {
            name: " or ".join(paths)
            for rule in self._rules
            for name, paths in rule.paths.items()
            if (name, paths) not in found
        }


class _Rule:
    def __init__(self, mapping: EventMapping, rule: EventRule) -> None:
        variables = list(rule.split)
        fields = {name: as_field(spec) for name, spec in (mapping.fields | rule.fields).items()}
        self.paths = {name: field.value_paths for name, field in fields.items() if field.value_paths}
        self._gets = {name: [compile_path(path, variables) for path in paths] for name, paths in self.paths.items()}
        self._splits: list[Get] = [
            compile_path(path, variables[:level]) for level, path in enumerate(rule.split.values())
        ]
        self.found: set[tuple[str, tuple[str, ...]]] = set()

    def add(self, document: Mapping[str, Any]) -> None:
        for scope in self._scopes((document,), 0):
            for name, gets in self._gets.items():
                key = (name, self.paths[name])
                if key not in self.found and any(is_present(get(scope)) for get in gets):
                    self.found.add(key)

    def _scopes(self, scope: Scope, level: int) -> Sequence[Scope]:
        if level == len(self._splits):
            return [scope]
        elements = self._splits[level](scope)
        listed = elements[:ELEMENTS_MAX] if isinstance(elements, list | tuple) else [elements]
        return [
            inner for element in listed if element is not None for inner in self._scopes((*scope, element), level + 1)
        ]
