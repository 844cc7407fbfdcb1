"""Finding misspelt fields, and suggesting the right spelling."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

import msgspec

from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.upcasters import FIELDS, Document
from realtime_pipeline.infrastructure.codecs.wire import Properties

PROPERTIES: Final = frozenset(Properties.__struct_fields__)
_NAMED_MAX: Final = 8
_NAME_LENGTH_MAX: Final = 40
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
_IDENTIFYING: Final = ("user_id", "session_id", "product_id")


def unknown_fields(document: Document, *, with_properties: bool = True) -> Iterator[tuple[str, object]]:
    """Yield the unknown fields of an event, top-level and in its properties, with their values."""
    for name, value in document.items():
        if name not in FIELDS:
            yield name, value
    for container in ("properties", "metadata") if with_properties else ():
        properties = document.get(container)
        if isinstance(properties, dict):
            yield from ((name, value) for name, value in properties.items() if name not in PROPERTIES)


def find_unknown(value: bytes) -> Sequence[tuple[str, str | None]]:
    """Find the fields of an event that have no meaning here, each with the known field that may be meant."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    return [(name, _similar_field(name)) for name, found in unknown_fields(document) if found not in _EMPTY]


@lru_cache(1_024)
def _similar_field(name: str) -> str | None:
    suggestion = suggest_field(name)
    if suggestion is not None or len(name) > _NAME_LENGTH_MAX:
        return suggestion
    close = get_close_matches(normalise(name), _FIELD_OF_LETTERS, 1, 0.8)
    return _FIELD_OF_LETTERS[close[0]] if close else None


def check_spelling(document: Document, absent: Collection[str], *, with_properties: bool = True) -> None:
    """Check that no absent field is present under another spelling: the same letters and digits.

    Raises:
        Invalid: a field is misspelt; the message names both spellings.
    """
    for name, value in unknown_fields(document, with_properties=with_properties):
        suggestion = suggest_field(name)
        if suggestion is not None and suggestion != name and suggestion in absent and value not in _EMPTY:
            raise Invalid(f"misspelt_field: {_escape(name)} is unknown here; it is written {suggestion}")


def check_spelling_of(unknown: Collection[str], absent: Collection[str]) -> None:
    """Check that no absent field is among the unknown ones under another spelling, whatever the kind of event.

    Raises:
        Invalid: a field is misspelt; the message names both spellings.
    """
    by_letters = {normalise(name): name for name in sorted(absent)}
    for name in unknown:
        meant = by_letters.get(normalise(name)) if len(name) <= _NAME_LENGTH_MAX else None
        if meant is not None:
            raise Invalid(f"misspelt_field: {_escape(name)} is unknown here; it is written {meant}")


def incomplete_event(document: Document) -> Invalid:
    """Return the error of an event without a customer and a product; it suggests spellings of unknown fields."""
    names = list(dict.fromkeys(name for name, _ in unknown_fields(document)))
    listed = ", ".join(_with_suggestion(name) for name in names[:_NAMED_MAX])
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    unknown = f"; unknown here: {listed}{more}" if names else ""
    return Invalid(f"incomplete_event: it has no user_id, session_id or product_id{unknown}")


def _with_suggestion(name: str) -> str:
    suggestion = suggest_field(name)
    if suggestion not in _IDENTIFYING:
        close = get_close_matches(normalise(name[:_NAME_LENGTH_MAX]), map(normalise, _IDENTIFYING), 1, 0.75)
        suggestion = _FIELD_OF_LETTERS[close[0]] if close else None
    return _escape(name) if suggestion is None else f"{_escape(name)} ({suggestion}?)"


def _escape(name: str) -> str:
    return ascii(name[:_NAME_LENGTH_MAX])[1:-1]


def suggest_field(name: str) -> str | None:
    """Return the known field with the same letters and digits as a name; None if there is none."""
    return _suggest_field(name) if len(name) <= _NAME_LENGTH_MAX else None


@lru_cache(1_024)
def _suggest_field(name: str) -> str | None:
    return _FIELD_OF_LETTERS.get(normalise(name))


def normalise(name: str) -> str:
    """The letters and digits of a name, without case."""
    return "".join(character for character in name.casefold() if character.isalnum())


_FIELD_OF_LETTERS: Final = {normalise(name): name for name in FIELDS | PROPERTIES}
