"""Reading single fields of an event: ids, owners, times."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, anonymous
from realtime_pipeline.domain.streams.watermark import END_OF_TIME
from realtime_pipeline.infrastructure.codecs.upcasters import Document

DEPTH_MAX: Final = 64
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SECONDS: Final = range(10**9, 10**10)


class Invalid(Exception):
    """Some part of an event is not what it must be; the message is the reason."""


def check_depth(value: bytes) -> None:
    """See that a document is no deeper than any parser can go, whoever calls it from however far down."""
    if value.count(b"[") + value.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for token in _BRACKETS.finditer(value):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token.group(), 0)
        if depth > DEPTH_MAX:
            raise Invalid(f"nested: deeper than {DEPTH_MAX} levels")


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


def owner_in(document: Document, names: Sequence[str]) -> CustomerId | None:
    """Whose event this is, by the first of its ids that can be read at all."""
    for name in names:
        value = document.get(name)
        if type(value) in {str, int} and value != "":
            text = str(value)
            if (
                not text.isprintable()
                or len(text) > ID_LENGTH_MAX
                or (name == "user_id" and text.startswith(ANONYMOUS))
            ):
                return None
            return CustomerId(text) if name == "user_id" else anonymous(text)
    return None


def customer_in(user_id: str | None, session_id: str | None) -> CustomerId | None:
    """Whose profile an event is for: the user's, else the visitor's."""
    if user_id is None:
        return None if session_id is None else anonymous(session_id)
    if user_id.startswith(ANONYMOUS):
        raise Invalid(f"invalid_user_id: ids that begin with {ANONYMOUS} are kept for visitors")
    return CustomerId(user_id)


def time_in(value: str | int | float | None) -> int:
    """Read a time: milliseconds since 1970, or ISO 8601 (UTC where it names no zone).

    A number that is a time of this century in seconds is refused: in milliseconds it would lie in early 1970.
    """
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            at_ms = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
        except (ValueError, OverflowError):
            raise Invalid("invalid_timestamp: text must be an ISO 8601 time") from None
    else:
        at_ms = -1 if value is None else int(value)
        if at_ms in _SECONDS:
            raise Invalid(f"invalid_timestamp: {at_ms} looks like seconds since 1970; send milliseconds")
    if 0 <= at_ms < END_OF_TIME:
        return at_ms
    raise Invalid("invalid_timestamp: it must be milliseconds since 1970, or an ISO 8601 time after it")


def nesting(value: object) -> int:
    """How deep objects and lists lie in one another. The parser bounds the depth, so recursion is safe."""
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0
