"""Writing a mapping as TOML, as it stands in a settings file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule


def mapping_toml(name: str, mapping: EventMapping) -> str:
    """Write a mapping as TOML below `[mapping.NAME]`; what has its default is left out."""
    return "\n".join(_lines(name, mapping)) + "\n"


def _lines(name: str, mapping: EventMapping) -> Iterator[str]:
    group = f"mapping.{_key(name)}"
    yield f"[{group}]"
    for field in attrs.fields(EventMapping):
        value = getattr(mapping, field.name)
        if field.name not in ("fields", "events", "types") and value != field.default:
            yield f"{field.name} = {_value(value)}"
    if mapping.types:
        yield f"\n[{group}.types]"
        yield from (f"{_key(type_)} = {_value(ours)}" for type_, ours in mapping.types.items())
    yield f"\n[{group}.fields]"
    yield from (f"{_key(field_name)} = {_value(spec)}" for field_name, spec in mapping.fields.items())
    for rule in mapping.events:
        yield f"\n[[{group}.events]]"
        yield from _rule(group, rule)


def _rule(group: str, rule: EventRule) -> Iterator[str]:
    for part in ("when", "unless", "split"):
        if values := getattr(rule, part):
            yield f"{part} = {_value(values)}"
    if rule.fields:
        yield f"[{group}.events.fields]"
        yield from (f"{_key(name)} = {_value(spec)}" for name, spec in rule.fields.items())


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else _text(name)


def _value(value: Any) -> str:
    if attrs.has(type(value)):
        value = attrs.asdict(value, filter=lambda field, found: found != field.default)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(found)}" for name, found in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """A string of TOML: as JSON has it, but every character by itself; what is no character is replaced."""
    readable = value.encode("utf-8", "replace").decode()
    return json.dumps(readable, ensure_ascii=False).replace("\x7f", "\\u007f")
