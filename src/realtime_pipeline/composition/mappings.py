"""Mappings by name: those of the settings, and those that come with the package."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import attrs
import msgspec

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.setting_names import SettingPath, Sources, check_names
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.compiled import CompiledMapping
from realtime_pipeline.domain.mapping.currencies import Rates
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, ExchangeRate, Field
from realtime_pipeline.infrastructure.mappings.shipped import shipped, shipped_names

LIKE: Final = "like"
"""The setting of a mapping that names another one, which it completes and changes."""

_MERGED: Final = ("fields", "types")
_GROUP: Final = "mapping"


def complete_mappings(document: dict[str, Any], sources: Sources) -> None:
    """Complete the mappings of a settings document by those that they are `like`, and refuse names that do not exist.

    Raises:
        InvalidSettings: there is no such name, or no such mapping to be like.
    """
    group = document.get(_GROUP)
    if isinstance(group, dict):
        for name in list(group):
            group[name] = _completed(group, name, sources, ())
            _check_mapping(group[name], (_GROUP, name), sources)
    rates = document.get("exchange_rates")
    for rate in rates if isinstance(rates, list) else ():
        if isinstance(rate, dict):
            check_names(rate, ExchangeRate, ("exchange_rates",), sources)


def find_mapping(settings: Settings, name: str) -> EventMapping:
    """Return a mapping of the settings, or one that comes with the package.

    Raises:
        InvalidSettings: there is none of this name.
    """
    if not isinstance(name, str):
        raise InvalidSettings(f"a mapping is named by text, not by {type(name).__name__}")
    if name in settings.mapping:
        return settings.mapping[name]
    try:
        return _shipped(name)
    except KeyError:
        known = sorted({*settings.mapping, *shipped_names()})
        hint = _nearest(name, known) or f"write [mapping.{name}], or name one of {', '.join(known)}"
        raise InvalidSettings(f'there is no mapping "{name}": {hint}') from None


def compile_mapping(settings: Settings, name: str) -> CompiledMapping:
    """Compile a mapping with the exchange rates of the settings.

    Raises:
        InvalidSettings: there is none of this name, or it needs the shop's currency.
    """
    mapping = find_mapping(settings, name)
    if mapping.reads_currency and not settings.currency:
        raise InvalidSettings(
            f'mapping {name} reads the currency of each event: set the shop\'s own, such as currency = "EUR"'
        )
    return CompiledMapping(name, mapping, Rates(settings.currency, settings.exchange_rates))


@cache
def _shipped(name: str) -> EventMapping:
    return msgspec.convert(shipped(name), EventMapping, strict=False)


def _nearest(name: str, known: Sequence[str]) -> str:
    found = get_close_matches(name, known, 1, 0.75)
    return f"did you mean {found[0]}?" if found else ""


def _completed(group: Mapping[str, Any], name: str, sources: Sources, above: tuple[str, ...]) -> Any:
    """Return a mapping completed by the one that it is like, if it is like one."""
    own = group[name]
    path = (_GROUP, name)
    if not isinstance(own, dict):
        raise InvalidSettings(f"{sources.of(path)}: {'.'.join(path)} must be a group of settings")
    if LIKE not in own:
        return own
    base, like = dict[str, Any](), own[LIKE]
    if not isinstance(like, str):
        raise InvalidSettings(f"{sources.of(path)}: {'.'.join(path)}.like must be the name of a mapping")
    if like in group and like != name:
        if like in above:
            raise InvalidSettings(f"{sources.of(path)}: the mappings {', '.join((*above, name))} are like each other")
        base = _completed(group, like, sources, (*above, name))
    elif like in shipped_names():
        base = shipped(like)
    else:
        known = sorted({*group, *shipped_names()} - {name})
        hint = _nearest(like, known) or f"name one of {', '.join(known)}"
        raise InvalidSettings(f"{sources.of(path)}: {'.'.join(path)}.like is no mapping: {hint}")
    merged = {field: {**base.get(field, {}), **own[field]} for field in _MERGED if isinstance(own.get(field), dict)}
    return {key: value for key, value in {**base, **own, **merged}.items() if key != LIKE}


def _check_mapping(mapping: Mapping[str, Any], path: SettingPath, sources: Sources) -> None:
    check_names(mapping, EventMapping, path, sources)
    _check_fields(mapping.get("fields"), Field, (*path, "fields"), sources)
    rules = mapping.get("events", ())
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            within = (*path, f"events[{number}]")
            check_names(rule, EventRule, within, sources)
            _check_fields(rule.get("fields"), Field, (*within, "fields"), sources)
            for conditions in ("when", "unless"):
                _check_fields(rule.get(conditions), FieldTest, (*within, conditions), sources)


def _check_fields(group: object, type_: type[attrs.AttrsInstance], path: SettingPath, sources: Sources) -> None:
    for name, value in group.items() if isinstance(group, dict) else ():
        if isinstance(value, dict):
            check_names(value, type_, (*path, str(name)), sources)
