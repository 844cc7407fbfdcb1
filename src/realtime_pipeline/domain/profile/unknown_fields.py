"""Fields of a profile that a newer release wrote: this one carries them along, and never reads them."""

from collections.abc import Mapping
from typing import Any, Final

UNKNOWN_MAX: Final = 64
"""How many fields, or kinds of events, that this release does not know a profile has at most after a sign-in."""

_SEEN: Final = "seen"
NESTED: Final = frozenset((_SEEN, "orders", "open_sessions"))
"""The known parts of a profile inside which a newer release may add fields."""

Unknown = Mapping[str, Any]
"""By name, fields that are unknown; below the name of a nested part, what is unknown in it."""


class CannotMerge(Exception):
    """Two profiles have unknown parts of the same name: only the release that wrote them can add them up."""


def merge_unknown(known: Unknown | None, visitor: Unknown | None) -> Unknown | None:
    """Give a profile the unknown fields of a visitor's, where it has none of these names.

    Raises:
        CannotMerge: it has one of them, or the visitor has unknown fields inside a known part.
    """
    if known is None or visitor is None:
        both = known or visitor
    else:
        if known.keys() & visitor.keys():
            raise CannotMerge(f"both profiles have {', '.join(sorted(known.keys() & visitor.keys()))}")
        both = {**known, **visitor}
    if visitor is not None and not NESTED.isdisjoint(visitor):
        raise CannotMerge(f"the visitor's profile has unknown parts in {', '.join(sorted(NESTED & visitor.keys()))}")
    if both is not None and len(both) > UNKNOWN_MAX:
        raise CannotMerge(f"the profile would have {len(both)} unknown fields")
    return both


def detach_unknown(unknown: Unknown | None) -> tuple[Unknown | None, Unknown | None]:
    """Split unknown fields into those that stay with a visitor who signs in, inside `seen`, and those that go along."""
    if unknown is None:
        return None, None
    staying = {name: part for name, part in unknown.items() if name == _SEEN}
    going = {name: part for name, part in unknown.items() if name != _SEEN}
    return staying or None, going or None
