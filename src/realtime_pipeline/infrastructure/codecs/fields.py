"""Reading single fields of an event: ids, numbers, labels, and the owner."""

from collections.abc import Sequence
from typing import Final

from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, anonymous
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.upcasters import Document
from realtime_pipeline.infrastructure.codecs.wire import SHOWN_MAX

PRICE_MAX: Final = 1e15
MAPPINGS: Final = "docs/how-to/map-your-events.md"


def to_id(value: str | int | None) -> str | None:
    """Return an id as text, given text or a whole number; None for empty text."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    text = str(value)
    if len(text) > ID_LENGTH_MAX:
        raise Invalid(f"invalid_id: a number has at most {ID_LENGTH_MAX} digits")
    return text


def read_id(name: str, value: object) -> str | None:
    """Read an id of any JSON type; empty text stays as it is.

    Raises:
        Invalid: the value is neither text of up to 128 characters nor a whole number.
    """
    if isinstance(value, str) and len(value) > ID_LENGTH_MAX:
        raise Invalid(f"invalid_{name}: it has more than {ID_LENGTH_MAX} characters")
    if value is None or isinstance(value, str):
        return value
    whole = to_whole_number(value)
    if whole is None:
        raise Invalid(f"invalid_{name}: ids are text or whole numbers, not {describe(value)}")
    return to_id(whole)


def read_ids(name: str, value: object) -> list[str | int | None]:
    """Read a list of ids.

    Raises:
        Invalid: the value is not a list, too long, or contains a value that is not an id.
    """
    if not isinstance(value, list) or len(value) > SHOWN_MAX:
        raise Invalid(f"invalid_{name}: it must be a list of at most {SHOWN_MAX} ids")
    return [read_id(name, id_) for id_ in value]


def to_whole_number(value: object) -> int | None:
    """Return a whole number, also if it is written as `2.0`; None for any other value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def read_whole(name: str, value: object, allowed: range) -> int:
    """Read a whole number.

    Raises:
        Invalid: the value is not a whole number, or not within `allowed`.
    """
    whole = to_whole_number(value)
    if whole is None or whole not in allowed:
        raise Invalid(f"invalid_{name}: it must be a whole number from {allowed[0]} to {allowed[-1]}")
    return whole


def read_replayed(value: object) -> bool:
    """Read whether an event is published again.

    Raises:
        Invalid: it is neither true, false nor null.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Invalid("invalid_replayed: it must be true or false")


def read_money(name: str, value: object) -> float:
    """Read a price or an amount, in units of the currency.

    Raises:
        Invalid: the value is not a number from 0 to `PRICE_MAX`; of text, the message says what reads it.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= PRICE_MAX:
        return float(value)
    hint = f": {_reader_of(value)} ({MAPPINGS})" if isinstance(value, str) else ""
    raise Invalid(f"invalid_{name}: it must be a number from 0, not {describe(value)}{hint}")


def _reader_of(text: str) -> str:
    """Say what reads money that is text; `12,50` has a decimal comma, `1,250` and `1,250.00` may have none."""
    _, comma, end = text.rpartition(",")
    has_decimal_comma = bool(comma) and "." not in end and sum(map(str.isdecimal, end)) in {1, 2}
    return 'a mapping with decimal = "," reads it' if has_decimal_comma else "a mapping reads numbers in text"


def to_label(value: object) -> str | None:
    """Read a category, name or text; a number becomes text, any other value None."""
    if isinstance(value, str):
        return value
    whole = to_whole_number(value)
    if whole is not None:
        return str(whole)
    return repr(value) if isinstance(value, float) else None


def describe(value: object) -> str:
    """Return the name of a JSON type for a message; for a number, the number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, dict) else "a list"


def find_owner(document: Document, names: Sequence[str]) -> CustomerId | None:
    """Return the customer that an event belongs to, by the first of these fields that holds an id."""
    for name in names:
        value = document.get(name)
        found = value if isinstance(value, str) else to_whole_number(value)
        if found is not None and found != "":
            text = str(found)
            if (
                len(text) > ID_LENGTH_MAX
                or not is_printable_id(text)
                or (name == "user_id" and text.startswith(ANONYMOUS))
            ):
                return None
            return CustomerId(text) if name == "user_id" else anonymous(text)
    return None
