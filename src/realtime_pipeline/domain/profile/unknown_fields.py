"""Parts of a profile that a newer release wrote: this one carries them along, and never reads them."""

from collections.abc import Mapping
from typing import Any, Final

UNKNOWN_MAX: Final = 64
"""How many fields, or kinds of events, that this release does not know a profile has at most after a sign-in."""

Unknown = Mapping[str, Any]
"""By name, fields that are unknown; below the name of a known field, what is unknown in it."""


class CannotMerge(Exception):
    """Two profiles have unknown parts of the same name: only the release that wrote them can add them up."""


def merged_unknown(known: Unknown | None, more: Unknown | None, nested: frozenset[str]) -> Unknown | None:
    """Give a profile the unknown fields of another, where it has none of these names.

    Raises:
        CannotMerge: it has one of them, or they are parts of a field that is known (`nested` has the names of those).
    """
    if known is None or more is None:
        both = known or more
    else:
        if known.keys() & more.keys():
            raise CannotMerge(f"both profiles have {', '.join(sorted(known.keys() & more.keys()))}")
        both = {**known, **more}
    if more is not None and not nested.isdisjoint(more):
        raise CannotMerge(f"the visitor's profile has unknown parts in {', '.join(sorted(nested & more.keys()))}")
    if both is not None and len(both) > UNKNOWN_MAX:
        raise CannotMerge(f"the profile would have {len(both)} unknown fields")
    return both


def parts_of(unknown: Unknown | None, stay: frozenset[str]) -> tuple[Unknown | None, Unknown | None]:
    """Cut unknown parts into those of fields that stay with a visitor, and those that go to the customer."""
    if unknown is None:
        return None, None
    staying = {name: part for name, part in unknown.items() if name in stay}
    going = {name: part for name, part in unknown.items() if name not in stay}
    return staying or None, going or None
