"""Fields that a producer spells in a way of its own: found, and named next to those that were meant."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.upcasters import FIELDS, Document
from realtime_pipeline.infrastructure.codecs.wire import Properties

PROPERTIES: Final = frozenset(Properties.__struct_fields__)
_NAMED_MAX: Final = 8
_NAME_LENGTH_MAX: Final = 40
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
_WHOSE: Final = ("user_id", "session_id", "product_id")


def unknown_in(document: Document, *, with_properties: bool = True) -> Iterator[tuple[str, object]]:
    """The fields of an event that mean nothing here, in the record and in its properties, with their values."""
    for name, value in document.items():
        if name not in FIELDS:
            yield name, value
    for place in ("properties", "metadata") if with_properties else ():
        inner = document.get(place)
        if isinstance(inner, dict):
            yield from ((name, value) for name, value in inner.items() if name not in PROPERTIES)


def check_spelling(document: Document, absent: Collection[str], *, with_properties: bool = True) -> None:
    """See that no field that is absent is there under a name of the same letters.

    Raises:
        Invalid: one is; the message names both.
    """
    for name, value in unknown_in(document, with_properties=with_properties):
        meant = spelt(name)
        if meant is not None and meant != name and meant in absent and value not in _EMPTY:
            raise Invalid(f"misspelt_field: {_shown(name)} is unknown here; it is written {meant}")


def incomplete_event(document: Document) -> Invalid:
    """Say that an event has neither a customer nor a product, and which fields may have been meant for them."""
    names = list(dict.fromkeys(name for name, _ in unknown_in(document)))
    named = ", ".join(_with_suggestion(name) for name in names[:_NAMED_MAX])
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    unknown = f"; unknown here: {named}{more}" if names else ""
    return Invalid(f"incomplete_event: it has no user_id, session_id or product_id{unknown}")


def _with_suggestion(name: str) -> str:
    meant = spelt(name)
    if meant not in _WHOSE:
        close = get_close_matches(_letters(name[:_NAME_LENGTH_MAX]), [_letters(one) for one in _WHOSE], 1, 0.75)
        meant = _SPELT[close[0]] if close else None
    return _shown(name) if meant is None else f"{_shown(name)} ({meant}?)"


def _shown(name: str) -> str:
    return ascii(name[:_NAME_LENGTH_MAX])[1:-1]


def spelt(name: str) -> str | None:
    """The known field that has the letters of a name."""
    return _spelt_short(name) if len(name) <= _NAME_LENGTH_MAX else None


@lru_cache(1_024)
def _spelt_short(name: str) -> str | None:
    return _SPELT.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


_SPELT: Final = {_letters(name): name for name in FIELDS | PROPERTIES}
