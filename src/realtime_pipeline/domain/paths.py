"""Paths into nested documents: `properties.products[0].price`, `event_params[key=page].value.string_value`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Scope = Sequence[Any]
"""The record, then the elements that a rule has split it into, the outer first."""
Get = Callable[[Scope], Any]
"""Reads a value of a scope; None where it is absent."""

_STEP: Final = re.compile(r"""(?:"([^"]+)"|([^.\[\]"]+))((?:\[[^\[\]]+\])*)(?:\.|\Z)""")
_SELECTOR: Final = re.compile(r"\[([^\[\]]+)\]")
_INDEX: Final = re.compile(r"-?\d{1,9}")
_Step = Callable[[Any], Any]


def compile_path(path: str, variables: Sequence[str] = ()) -> Get:
    """Compile a path to a function that reads it.

    A path is made of names with dots between them; a name with a dot in it is put into double quotes. After a name,
    `[0]` and `[-1]` select an element of a list, `[key=text]` the first that has this text in its field `key` (a number
    as it is written, `true`, `false`), and
    `[*]` reads the rest of the path in every element. The first name may be a variable.

    Args:
        path: the path.
        variables: the names of a scope's elements after the record.

    Raises:
        ValueError: it is no path.
    """
    first, steps = _parse(path)
    if first in variables:
        level = variables.index(first) + 1
    else:
        level, steps = 0, [_field(first), *steps]
    if level == 0 and len(steps) == 1:
        return lambda scope: record.get(first) if isinstance(record := scope[0], Mapping) else None
    step = _chain(steps)
    return lambda scope: step(scope[level])


def first_name(path: str) -> str:
    """The first name of a path.

    Raises:
        ValueError: it is no path.
    """
    return _parse(path)[0]


def names_of(path: str) -> tuple[str, ...]:
    """All names of a path, without selectors."""
    _check(path)
    return tuple(quoted or plain for quoted, plain, _ in _STEP.findall(path))


def _check(path: str) -> None:
    end = 0
    for found in _STEP.finditer(path):
        if found.start() != end:
            break
        end = found.end()
    if not path or end != len(path) or path.endswith("."):
        raise ValueError(f'"{path}" is no path: write names with dots between them, such as properties.products[0].id')


def _parse(path: str) -> tuple[str, list[_Step]]:
    _check(path)
    first, steps = "", list[_Step]()
    for quoted, plain, selectors in _STEP.findall(path):
        name = quoted or plain
        if first:
            steps.append(_field(name))
        first = first or name
        steps += [_select(selector) for selector in _SELECTOR.findall(selectors)]
    return first, steps


def _field(name: str) -> _Step:
    return lambda value: value.get(name) if isinstance(value, Mapping) else None


def _select(selector: str) -> _Step:
    key, equals, wanted = selector.partition("=")
    if equals:
        return lambda value: next((found for found in _elements(value) if _as_text(_in(found, key)) == wanted), None)
    if selector == "*":
        return _Every
    if _INDEX.fullmatch(selector):
        index = int(selector)
        return lambda value: (
            value[index] if isinstance(value, list | tuple) and -len(value) <= index < len(value) else None
        )
    raise ValueError(f'"[{selector}]" selects nothing: write [0], [-1], [*] or [name=text]')


class _Every:
    """The elements of a list, in which the rest of a path is read."""

    def __init__(self, value: object) -> None:
        self.elements = _elements(value)


def _chain(steps: Sequence[_Step]) -> _Step:
    def read(value: Any) -> Any:
        for number, step in enumerate(steps):
            if value is None:
                return None
            value = step(value)
            if isinstance(value, _Every):
                rest = _chain(steps[number + 1 :])
                return [found for found in map(rest, value.elements) if found is not None]
        return value

    return read


def _elements(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _in(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None


def _as_text(value: object) -> str | None:
    """The text that a selector compares: true and false as in JSON; null is no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
