"""Settings from a TOML file, the environment and options; an error names the source of the wrong value."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.mappings import complete_mappings
from realtime_pipeline.composition.setting_names import MAPPINGS, SettingPath, Sources, check_names
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.recommendation.experiments import Variant
from realtime_pipeline.domain.recommendation.list_rules import ListRules

PREFIX: Final = "REALTIME_PIPELINE_"
NOT_SETTINGS: Final = frozenset(("SETTINGS", "DATA", "SERVICES", "SERVERS"))
"""Variables with the prefix that are no settings: the settings file, and those of tests and harness."""

SOURCES_BYTES_MAX: Final = 1 << 20
"""The largest size of a settings file, in bytes."""

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
    sources = Sources("settings" if file is None else str(file))
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
    complete_mappings(document, sources)
    check_names(document, Settings, (), sources)
    _check_windows(document, sources)
    _complete_variants(document, sources)
    return _converted(document, Settings, sources)


def load_rules(file: Path) -> ListRules:
    """Read the rules of a list from a TOML file with the names of `[recommendations.rules]`.

    Raises:
        InvalidSettings: the file cannot be read, or a name or value is wrong.
    """
    document, sources = _read(file), Sources(f"rules {file}")
    check_names(document, ListRules, ("rules",), sources)
    return _converted(document, ListRules, sources)


def _converted(document: dict[str, Any], type_: type[T], sources: Sources) -> T:
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
    missing = re.fullmatch(r"Object missing required field `(\w+)`", message)
    if missing is not None:
        return f"{'.'.join((*path, missing[1]))} is missing", path
    found = re.fullmatch(r"Expected `([^`]*)`, got `(\w+)`", message)
    if found is not None:
        wanted = " or ".join(_TYPES.get(name, name) for name in re.findall(r"\w+", found[1]))
        message = f"{'.'.join(path)} must be {wanted}, not {_TYPES.get(found[2], found[2])}"
    return message, path


def _check_windows(document: dict[str, Any], sources: Sources) -> None:
    """Refuse names that do not exist, within the definitions of windows."""
    analytics = document.get("analytics")
    definitions = analytics.get("windows") if isinstance(analytics, dict) else None
    for definition in definitions if isinstance(definitions, list) else ():
        if not isinstance(definition, dict):
            continue
        path = ("analytics", "windows")
        check_names(definition, WindowedAggregate, path, sources)
        conditions = [definition.get("where"), *_conditions_of(definition)]
        for where in conditions:
            for name, test in where.items() if isinstance(where, dict) else ():
                if isinstance(test, dict):
                    check_names(test, FieldTest, (*path, "where", name), sources)


def _conditions_of(definition: dict[str, Any]) -> Iterator[object]:
    """The conditions of a definition's measures."""
    measures = definition.get("measures")
    for measure in measures.values() if isinstance(measures, dict) else ():
        if isinstance(measure, dict):
            yield from (measure.get("where"), measure.get("of_which"))


def _complete_variants(document: dict[str, Any], sources: Sources) -> None:
    """Fill what a variant of an experiment does not set from the common settings."""
    common, experiment = document.get("recommendations", {}), document.get("experiment")
    variants = experiment.get("variants") if isinstance(experiment, dict) else None
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        path = ("experiment", "variants", name)
        if not isinstance(variant, dict):
            raise InvalidSettings(f"{sources.of(path)}: {'.'.join(path)} must be a group of settings")
        check_names(variant, Variant, path, sources)
        variant["recommendations"] = _merged(common, variant.get("recommendations", {}))


def _merged(common: Any, own: Any) -> Any:
    if isinstance(common, dict) and isinstance(own, dict):
        named = {
            name for name in own if name in MAPPINGS
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
        names.append(name if names and names[-1] in MAPPINGS else name.lower())
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
