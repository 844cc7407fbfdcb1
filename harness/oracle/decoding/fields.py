"""Where a field stands in a document, and which field names are misspelt."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import attrs

from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.schema import BESIDE_PROPERTIES, EMPTY_IS_ABSENT, FIELDS, PROPERTY_FIELDS

Fields = Mapping[str, object]

NO_FIELDS: Final[Fields] = {}

_TWO_LETTERS: Final = re.compile("[A-Za-z]{2}")


@attrs.define
class Properties:
    """The places of a document in which properties may stand; those in `first` come before those in `second`, and some
    may stand in the record itself."""

    first: Fields = NO_FIELDS
    second: Fields = NO_FIELDS
    record: Fields = NO_FIELDS

    def get(self, name: str) -> object:
        """The value of a known property: the first that is not absent."""
        for place in (self.first, self.second):
            value = place.get(name)
            if value is not None and not (value == "" and name in EMPTY_IS_ABSENT):
                return value
        beside = self.record.get(name) if name in BESIDE_PROPERTIES else None
        return None if beside == "" else beside

    def others(self) -> dict[str, object]:
        """The properties that the schema does not know, which are kept with the event."""
        found = {name: value for name, value in self.first.items() if name not in PROPERTY_FIELDS and value is not None}
        for name, value in self.second.items():
            if name not in PROPERTY_FIELDS and value is not None:
                found.setdefault(name, value)
        return found


def properties_of(document: Fields) -> Properties:
    """Find a document's properties.

    Raises:
        RejectedRecord: one of the two places holds something else than an object.
    """
    return Properties(_object(document, "properties"), _object(document, "metadata"), document)


def context_of(document: Fields) -> Fields:
    """The context, if it is an object, without what is null in it and a country that is not two letters."""
    found = document.get("context")
    if not isinstance(found, dict):
        return NO_FIELDS
    context = {name: value for name, value in found.items() if value is not None}
    if not (isinstance(country := context.get("country"), str) and _TWO_LETTERS.fullmatch(country)):
        context.pop("country", None)
    return context


def unknown_in(document: Fields, properties: Properties) -> list[str]:
    """The names that the schema has nowhere, and that stand before a value which is not empty."""
    return [
        name
        for fields in (document, properties.first, properties.second)
        if not fields.keys() <= FIELDS
        for name, value in fields.items()
        if name not in FIELDS and value is not None and value not in ("", [], {})
    ]


def check_spelling(unknown: Iterable[str], absent: Iterable[str]) -> None:
    """See that no absent field stands there under a name of the same letters.

    Raises:
        RejectedRecord: one does; the reason names both.
    """
    by_letters = {letters_of(name): name for name in unknown}
    for name in sorted(absent):
        if (found := by_letters.get(letters_of(name))) is not None:
            raise RejectedRecord("misspelt_field", f"{found!r} is to be written {name}")


@cache
def letters_of(name: str) -> str:
    """A field's name without what tells spellings apart: capitals, hyphens, underscores, blanks."""
    return "".join(filter(str.isalnum, name.casefold()))


def _object(document: Fields, name: str) -> Fields:
    found = document.get(name)
    if found is None or found == []:
        return NO_FIELDS
    if not isinstance(found, dict):
        raise RejectedRecord(f"invalid_{name}", f"{name} is an object")
    return found
