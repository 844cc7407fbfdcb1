"""Which texts may be ids of events, users, sessions, products and orders."""

import unicodedata
from itertools import pairwise
from typing import Final

JOINER: Final = "\u200d"
_SELECTORS: Final = "\ufe0e\ufe0f"


def is_printable_id(text: str) -> bool:
    """Whether all characters are printable; a zero-width joiner may stand between two symbols, as within an emoji."""
    return text.isprintable() or (JOINER in text and _is_printable_but_for_joiners(text))


def _is_printable_but_for_joiners(text: str) -> bool:
    parts = text.split(JOINER)
    return all(part.isprintable() for part in parts) and all(
        _ends_in_symbol(before) and _is_symbol(after[:1]) for before, after in pairwise(parts)
    )


def _ends_in_symbol(text: str) -> bool:
    return _is_symbol(text.rstrip(_SELECTORS)[-1:])


def _is_symbol(character: str) -> bool:
    return character != "" and unicodedata.category(character).startswith("S")
