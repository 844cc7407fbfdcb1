"""What a newer release added to a customer's map and to the maps in it: taken out when read, put back when written.

Only a value that is not what this release would write for it comes here; so nothing of it costs anything as a rule.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

Fields = dict[str, Any]
Path = tuple[str | int, ...]

_SESSIONS: Final = "open_sessions"
_KEY: Final = "key"


def _maps_in(customer: Fields) -> Iterator[tuple[Path, Fields]]:
    """The maps with fixed fields inside a customer's, by where they are; sessions by their keys."""
    seen = customer.get("seen")
    if isinstance(seen, dict):
        yield ("seen",), seen
        if isinstance(seen.get("repairs"), dict):
            yield ("seen", "repairs"), seen["repairs"]
    for name, order in _pairs(customer.get("orders")):
        if isinstance(order, dict):
            yield ("orders", name), order
    sessions = customer.get(_SESSIONS)
    for session in sessions if isinstance(sessions, list) else ():
        if isinstance(session, dict) and isinstance(session.get(_KEY), int):
            yield (_SESSIONS, session[_KEY]), session


def _pairs(value: object) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def names_in(value: object) -> set[str]:
    """The names of all fields of a value, and of what is below them, each with the names above it."""
    return set(_named(value, ""))


def _named(value: object, above: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            path = f"{above}.{name}" if above else str(name)
            yield path
            yield from _named(part, path)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part, above)


def unknown_in(written: Fields, known: Fields, may_lack: bool) -> Fields:
    """Find the fields that are written and not known, at every depth. `may_lack` is for values of earlier formats,
    whose missing fields have their defaults.

    Raises:
        ValueError: fields are missing that a value of this format has.
    """
    unknown = _beyond(written, known, may_lack)
    read = dict(_maps_in(known))
    for path, fields in _maps_in(written):
        if path not in read:
            raise ValueError(f"there is more than one {'.'.join(map(str, path))}")
        more = _beyond(fields, read[path], may_lack)
        if more:
            _at(unknown, path).update(more)
    return unknown


def _beyond(written: Fields, known: Fields, may_lack: bool) -> Fields:
    more = {name: value for name, value in written.items() if name not in known}
    missing = known.keys() - written.keys()
    if missing and (more or not may_lack):
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return more


def _at(tree: Fields, path: Path) -> Fields:
    for step in path:
        tree = tree.setdefault(step, {})  # type: ignore[arg-type]  # sessions are known by numbers
    return tree


def overlaid(customer: Fields, unknown: Fields | Any) -> Fields:
    """Put unknown fields back where they were; those of orders and sessions that have gone are gone with them."""
    nested = {name for name in unknown if name in customer}
    for path, fields in _maps_in(customer):
        more: Any = unknown
        for step in path:
            more = more.get(step, {}) if isinstance(more, dict) else {}
        fields.update({name: value for name, value in more.items() if name not in fields})
    return customer | {name: value for name, value in unknown.items() if name not in nested}
