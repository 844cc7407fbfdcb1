"""Settings from a TOML file, the environment and options; an error names the source of the wrong value."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import attrs
import msgspec

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.limits import shortened
from realtime_pipeline.domain.recommendation.experiments import Variant
from realtime_pipeline.domain.recommendation.list_rules import ListRules

PREFIX: Final = "REALTIME_PIPELINE_"
NOT_SETTINGS: Final = frozenset(("SETTINGS", "DATA", "SERVICES", "SERVERS"))
"""Variables with the prefix that are no settings: the settings file, and those of tests and harness."""

SOURCES_BYTES_MAX: Final = 1 << 20
"""The largest size of a settings file, in bytes."""

NAMED_MAX: Final = 3
"""How many sources an error names at most."""

_MAPPINGS: Final = frozenset(("event_types", "weights", "category_weights", "pinned"))
"""Settings whose keys are a shop's own products, categories and event types."""

_TYPES: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a group of settings",
    "null": "nothing",
}
"""The names of TOML and JSON types in error messages."""

T = TypeVar("T")
SettingPath = tuple[str, ...]
"""The name of a setting, after the names of its groups."""


def load_settings(
    file: Path | str | None = None, environment: Mapping[str, str] | None = None, **given: object
) -> Settings:
    """Build settings from a TOML file, then the environment, then keyword arguments; later sources win.

    In the environment, `REALTIME_PIPELINE_DATABASE=…` sets `database` and
    `REALTIME_PIPELINE_WORKER__IDLE_WAIT_MS=…` sets `idle_wait_ms` of `worker`; lists and mappings may be written in
    JSON. `REALTIME_PIPELINE_SETTINGS` names the file if `file` is None.

    Args:
        file: the TOML file.
        environment: the variables; without it those of the process.
        given: settings by name; None leaves a setting as it is.

    Raises:
        InvalidSettings: the file cannot be read, or a name or value is wrong; the message names the source.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get(f"{PREFIX}SETTINGS"):
        file = environment[f"{PREFIX}SETTINGS"]
    sources = _Sources("settings" if file is None else str(file))
    document = {} if file is None else _read(file)
    for name, value in environment.items():
        path = name.removeprefix(PREFIX)
        if path != name and path not in NOT_SETTINGS:
            names = _spelt(path)
            sources.add(names, name)
            _put(document, names, value, name)
    for name, option in given.items():
        if option is not None:
            document[name] = option
            sources.add([name], "settings")
    _check_names(document, Settings, (), sources)
    _complete_variants(document, sources)
    return _converted(document, Settings, sources)


def load_rules(file: Path) -> ListRules:
    """Read the rules of a list from a TOML file with the names of `[recommendations.rules]`.

    Raises:
        InvalidSettings: the file cannot be read, or a name or value is wrong.
    """
    document, sources = _read(file), _Sources(f"rules {file}")
    _check_names(document, ListRules, ("rules",), sources)
    return _converted(document, ListRules, sources)


class _Sources:
    """The source of each setting: the file, unless a variable of the environment sets it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._by_path: dict[SettingPath, str] = {}

    def add(self, path: Iterable[str], source: str) -> None:
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
        if message and not (path and path[-1] in _MAPPINGS):
            words = set(re.findall(r"\w+", message))
            below = {found: source for found, source in below.items() if words & set(found)}
        return ", ".join(list(dict.fromkeys(below.values()))[:NAMED_MAX]) or self._file

    def has(self, path: SettingPath) -> bool:
        """Whether a setting has a source of its own."""
        return path in self._by_path


def _converted(document: dict[str, Any], type_: type[T], sources: _Sources) -> T:
    try:
        return msgspec.convert(document, type_, strict=False)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        message, path = _in_words(str(error))
        name = re.match(r"(?:\w+\.)*(\w+)", message)  # a check of a whole group begins with the name of the setting
        named = (*path, name[1]) if name else path
        raise InvalidSettings(f"{sources.of(named if sources.has(named) else path, message)}: {message}") from None


def _in_words(error: str) -> tuple[str, SettingPath]:
    """Return msgspec's message in the terms of settings, and the path of the setting or its group."""
    message, _, at = error.partition(" - at `")
    path = tuple(re.findall(r"[^.\[\]]+", at.rstrip("`").removeprefix("$")))
    found = re.fullmatch(r"Expected `([^`]*)`, got `(\w+)`", message)
    if found is not None:
        wanted = " or ".join(_TYPES.get(name, name) for name in re.findall(r"\w+", found[1]))
        message = f"{'.'.join(path)} must be {wanted}, not {_TYPES.get(found[2], found[2])}"
    return message, path


def _complete_variants(document: dict[str, Any], sources: _Sources) -> None:
    """Fill what a variant of an experiment does not set from the common settings."""
    common, experiment = document.get("recommendations", {}), document.get("experiment")
    variants = experiment.get("variants") if isinstance(experiment, dict) else None
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        path = ("experiment", "variants", name)
        if not isinstance(variant, dict):
            raise InvalidSettings(f"{sources.of(path)}: {'.'.join(path)} must be a group of settings")
        _check_names(variant, Variant, path, sources)
        variant["recommendations"] = _merged(common, variant.get("recommendations", {}))


def _merged(common: Any, own: Any) -> Any:
    if isinstance(common, dict) and isinstance(own, dict):
        named = {
            name for name in own if name in _MAPPINGS
        }  # keys of a shop's own: the variant's replace the common ones
        return {
            name: own[name] if name in named else _merged(common.get(name), own.get(name)) for name in {**common, **own}
        }
    return common if own is None else own


def _read(file: Path | str) -> dict[str, Any]:
    try:
        with Path(file).expanduser().open("rb") as opened:
            read = opened.read(SOURCES_BYTES_MAX + 1)
        if len(read) > SOURCES_BYTES_MAX:
            raise InvalidSettings(f"{file} cannot be read: it is larger than {SOURCES_BYTES_MAX} bytes")
        return tomllib.loads(read.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError, RuntimeError) as error:
        raise InvalidSettings(f"{file} cannot be read: {error}") from None


def _spelt(path: str) -> list[str]:
    """Return the names in an environment variable; below a mapping they keep the shop's spelling."""
    names: list[str] = []
    for name in path.split("__"):
        names.append(name if names and names[-1] in _MAPPINGS else name.lower())
    return names


def _put(document: dict[str, Any], path: list[str], value: str, source: str) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise InvalidSettings(f"{source}: {name} is a group of settings, and has a value already")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidSettings(f"{source}: its value is not UTF-8") from None
    document[path[-1]] = _read_value(value)


def _read_value(value: str) -> Any:
    """Read a list or mapping in JSON; any other value is text, which the type of the setting converts."""
    if value.startswith(("[", "{")):
        with suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(value)
    return value


def _check_names(
    document: Mapping[str, Any], type_: type[attrs.AttrsInstance], within: SettingPath, sources: _Sources
) -> None:
    """Refuse a setting, or a choice of a setting, that does not exist."""
    fields = {field.name: field.type for field in attrs.fields(type_)}
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
        if isinstance(value, dict) and isinstance(field_type, type) and attrs.has(field_type):
            _check_names(value, field_type, path, sources)


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


def _settings(type_: type[attrs.AttrsInstance], within: SettingPath) -> Iterator[tuple[SettingPath, str]]:
    """Yield every setting, with the path of its group."""
    for field in attrs.fields(type_):
        yield within, field.name
        if isinstance(field.type, type) and attrs.has(field.type):
            yield from _settings(field.type, (*within, field.name))
