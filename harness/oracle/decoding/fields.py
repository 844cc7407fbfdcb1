"""Where a document has its fields, and which field names are misspelt."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

import attrs

from harness.oracle.decoding.errors import RejectedRecord
from harness.oracle.decoding.schema import EMPTY_IS_ABSENT, FIELDS, PROPERTY_FIELDS, RECORD_PROPERTIES

Fields = Mapping[str, object]

NO_FIELDS: Final[Fields] = {}


@attrs.define
class Properties:
    """The objects of a document that may have properties: `first` comes before `second`, and `second` before `record`,
    the document itself, which counts for some properties only."""

    first: Fields = NO_FIELDS
    second: Fields = NO_FIELDS
    record: Fields = NO_FIELDS

    def get(self, name: str) -> object:
        """The value of a known property: the first value that is not absent."""
        for fields in (self.first, self.second):
            value = fields.get(name)
            if value is not None and not (value == "" and name in EMPTY_IS_ABSENT):
                return value
        value = self.record.get(name) if name in RECORD_PROPERTIES else None
        if value in (None, "") and name == "product_id":
            contents = (fields.get("content_id") for fields in (self.first, self.second, self.record))
            value = next((found for found in contents if found not in (None, "")), None)
        return None if value == "" else value

    def others(self) -> dict[str, object]:
        """The properties that the schema does not know; they are stored with the event."""
        found: dict[str, object] = {}
        for name, value in (*self.first.items(), *self.second.items()):
            is_absent = value is None or (value == "" and name == "content_id")
            if name not in PROPERTY_FIELDS and not is_absent:
                found.setdefault(name, value)
        return found


def properties_of(document: Fields) -> Properties:
    """Find a document's properties.

    Raises:
        RejectedRecord: `properties` or `metadata` is not an object.
    """
    return Properties(_object(document, "properties"), _object(document, "metadata"), document)


def context_of(document: Fields) -> Fields:
    """The context, if it is an object, without null values. A country stays as it is written."""
    found = document.get("context")
    if not isinstance(found, dict):
        return NO_FIELDS
    return {name: value for name, value in found.items() if value is not None}


def unknown_fields(document: Fields, properties: Properties) -> list[str]:
    """The names of fields that the schema does not know and whose value is not empty."""
    return [
        name
        for fields in (document, properties.first, properties.second)
        if not fields.keys() <= FIELDS
        for name, value in fields.items()
        if name not in FIELDS and value is not None and value not in ("", [], {})
    ]


def check_spelling(unknown: Iterable[str], absent: Iterable[str]) -> None:
    """Check that no absent field was written under another spelling of its name.

    Args:
        unknown: the names in the document that the schema does not know.
        absent: the known names that the document lacks.

    Raises:
        RejectedRecord: an unknown name is another spelling of an absent name; the reason names both.
    """
    by_normalised = {normalised(name): name for name in unknown}
    for name in sorted(absent):
        if (found := by_normalised.get(normalised(name))) is not None:
            raise RejectedRecord("misspelt_field", f"{found!r} is to be written {name}")


@cache
def normalised(name: str) -> str:
    """A field's name in lower case, without hyphens, underscores and blanks."""
    return "".join(filter(str.isalnum, name.casefold()))


def _object(document: Fields, name: str) -> Fields:
    found = document.get(name)
    if found is None or found == []:
        return NO_FIELDS
    if not isinstance(found, dict):
        raise RejectedRecord(f"invalid_{name}", f"{name} is an object")
    return found


def is_replayed(document: Fields) -> bool:
    """Whether a dead letter is published again.

    Raises:
        RejectedRecord: the field is neither true nor false.
    """
    found = document.get("replayed")
    if found is None:
        return False
    if not isinstance(found, bool):
        raise RejectedRecord("invalid_replayed", "replayed is true or false")
    return found
