"""Reading single fields of an event: ids, owners, numbers, labels."""

from collections.abc import Sequence
from typing import Final

from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, anonymous
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.infrastructure.codecs.invalid import Invalid
from realtime_pipeline.infrastructure.codecs.upcasters import Document
from realtime_pipeline.infrastructure.codecs.wire import SHOWN_MAX

PRICE_MAX: Final = 1e15


def id_in(value: str | int | None) -> str | None:
    """Read an id: text or a whole number; empty text is as good as none."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    text = str(value)
    if len(text) > ID_LENGTH_MAX:
        raise Invalid(f"invalid_id: a number has at most {ID_LENGTH_MAX} digits")
    return text


def read_id(name: str, value: object) -> str | None:
    """Read an id that may be anything; empty text stays as it is.

    Raises:
        Invalid: it is neither text of 1 to 128 characters nor a whole number.
    """
    if isinstance(value, str) and len(value) > ID_LENGTH_MAX:
        raise Invalid(f"invalid_{name}: it has more than {ID_LENGTH_MAX} characters")
    if value is None or isinstance(value, str):
        return value
    whole = whole_in(value)
    if whole is None:
        raise Invalid(f"invalid_{name}: ids are text or whole numbers, not {_kind(value)}")
    return id_in(whole)


def read_ids(name: str, value: object) -> list[str | int | None]:
    """Read a list of ids.

    Raises:
        Invalid: it is none, or too long, or something in it is no id.
    """
    if not isinstance(value, list) or len(value) > SHOWN_MAX:
        raise Invalid(f"invalid_{name}: it must be a list of at most {SHOWN_MAX} ids")
    return [read_id(name, one) for one in value]


def whole_in(value: object) -> int | None:
    """The whole number that something is, also when it is written as `2.0`; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def read_whole(name: str, value: object, within: range) -> int:
    """Read a whole number.

    Raises:
        Invalid: it is none, or not within bounds.
    """
    whole = whole_in(value)
    if whole is None or whole not in within:
        raise Invalid(f"invalid_{name}: it must be a whole number from {within[0]} to {within[-1]}")
    return whole


def read_money(name: str, value: object) -> float:
    """Read a price or an amount, in units of the currency.

    Raises:
        Invalid: it is no number, or less than 0, or more than anything costs.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= PRICE_MAX:
        return float(value)
    raise Invalid(f"invalid_{name}: it must be a number from 0, not {_kind(value)}")


def label_in(value: object) -> str | None:
    """Read a category, name or text; a number becomes text, anything else says nothing."""
    if isinstance(value, str):
        return value
    whole = whole_in(value)
    if whole is not None:
        return str(whole)
    return repr(value) if isinstance(value, float) else None


def _kind(value: object) -> str:
    """What something is called in JSON; a number is shown."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, dict) else "a list"


def owner_in(document: Document, names: Sequence[str]) -> CustomerId | None:
    """Whose event this is, by the first of its ids that can be read at all."""
    for name in names:
        value = document.get(name)
        found = value if isinstance(value, str) else whole_in(value)
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
