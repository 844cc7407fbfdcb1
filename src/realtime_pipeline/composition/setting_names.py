"""Names of settings: the source of each, and errors that say what was meant."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

import attrs

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.limits import shortened
from realtime_pipeline.domain.streams.settings import SET_ELSEWHERE

NAMED_MAX: Final = 3
"""How many sources an error names at most."""

MAPPINGS: Final = frozenset(
    (
        *("event_types", "weights", "category_weights", "pinned"),
        *("mapping", "sources", "types", "fields", "when", "unless", "split"),
        *("where", "of_which", "derive", "measures"),
    )
)
"""Settings whose keys are a shop's own: products, categories, event types, fields."""

SettingPath = tuple[str, ...]
"""The name of a setting, after the names of its groups."""


class Sources:
    """The source of each setting: the file, unless a variable of the environment sets it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._by_path: dict[SettingPath, str] = {}

    def add(self, path: Iterable[str], source: str) -> None:
        """Note the source of a setting."""
        self._by_path[tuple(path)] = source

    def of(self, path: SettingPath, message: str = "") -> str:
        """Return the source of a setting, or of its group.

        If several sources set parts of a group, these are the sources of the parts that the message names; for a
        mapping, and without a message, of all parts.
        """
        for end in range(len(path), 0, -1):
            if path[:end] in self._by_path:
                return self._by_path[path[:end]]
        below = {found[len(path) :]: source for found, source in self._by_path.items() if found[: len(path)] == path}
        if message and not (path and path[-1] in MAPPINGS):
            words = set(re.findall(r"\w+", message))
            below = {found: source for found, source in below.items() if words & set(found)}
        return ", ".join(list(dict.fromkeys(below.values()))[:NAMED_MAX]) or self._file

    def has(self, path: SettingPath) -> bool:
        """Whether a setting has a source of its own."""
        return path in self._by_path


def check_names(
    document: Mapping[str, Any], type_: type[attrs.AttrsInstance], within: SettingPath, sources: Sources
) -> None:
    """Refuse a setting, or a choice of a setting, that does not exist."""
    fields = {field.name: field.type for field in _fields_of(type_)}
    for name, value in document.items():
        path = (*within, str(name))
        dotted = ".".join(path)
        if name not in fields:
            raise InvalidSettings(f"{sources.of(path)}: there is no {dotted}; {_nearest(str(name), within, fields)}")
        field_type = fields[name]
        choices = get_args(field_type) if get_origin(field_type) is Literal else (value,)
        if value not in choices:
            written = shortened(value) if isinstance(value, int | float) else ascii(value)[1:200].rstrip("'")
            raise InvalidSettings(f"{sources.of(path)}: {dotted} must be one of {', '.join(choices)}, not {written}")
        if isinstance(value, dict):
            _check_group(value, field_type, path, sources)


def _check_group(value: Mapping[str, Any], field_type: Any, path: SettingPath, sources: Sources) -> None:
    """Check the names of a group, of a group that may be absent, or of the groups of a mapping."""
    if isinstance(field_type, type) and attrs.has(field_type):
        check_names(value, field_type, path, sources)
        return
    types = [found for found in get_args(field_type) if isinstance(found, type) and attrs.has(found)]
    if len(types) != 1:
        return
    if get_origin(field_type) in (dict, Mapping):
        for name, group in value.items():
            if isinstance(group, dict):
                check_names(group, types[0], (*path, str(name)), sources)
    else:
        check_names(value, types[0], path, sources)


def _nearest(name: str, within: SettingPath, fields: Iterable[str]) -> str:
    """Suggest the most similar settings of the group; if the group is not known to have any, of other groups.

    A setting of another group is suggested only if it is nearly the same word: what it does may be destructive.
    """
    known = sorted(fields)
    found = get_close_matches(name, known, 3, 0.7)
    if found:
        return f"did you mean {' or '.join('.'.join((*within, field)) for field in found)}?"
    for path, field in _settings(Settings, ()):
        if get_close_matches(name, (field,), 1, 0.75 if not within else 0.9):
            return f"did you mean {'.'.join((*path, field))}?"
    return f"there are {', '.join(known)}"


def _fields_of(type_: type[attrs.AttrsInstance]) -> Iterator["attrs.Attribute[Any]"]:
    """Yield the fields of a group that are settings."""
    return (field for field in attrs.fields(type_) if SET_ELSEWHERE not in field.metadata)


def _settings(type_: type[attrs.AttrsInstance], within: SettingPath) -> Iterator[tuple[SettingPath, str]]:
    """Yield every setting, with the path of its group."""
    for field in _fields_of(type_):
        yield within, field.name
        if isinstance(field.type, type) and attrs.has(field.type):
            yield from _settings(field.type, (*within, field.name))
