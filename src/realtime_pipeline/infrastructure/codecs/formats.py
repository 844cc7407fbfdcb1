"""The format of a stored value or a message: `[written, read_by]`, the number of the format it was written in, and of
the oldest format whose readers lose nothing of it.

A release that adds a field which older workers may carry along unread raises the first number; one that changes what a
field means, drops one, or adds what an older worker must not pass over, raises both. Values of the releases before
formats say nothing: they are of format 0.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import msgspec

from realtime_pipeline.application.errors import Damaged, NewerRelease

FORMAT: Final = "format"
BEFORE_FORMATS: Final = 0
_SMALL_MAP: Final = 15
"""So many fields have a map whose head is one byte; larger ones have three."""

_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
_PAIR: Final = msgspec.msgpack.Decoder(tuple[int, int])


@attrs.frozen
class Format:
    """The format in which this release writes a kind of value; `what` is the kind, for messages."""

    what: str
    written: int
    read_by: int

    def check(self, found: object) -> int:
        """Read what a value says of its format; return in which it was written.

        Raises:
            NewerRelease: this release would not read it whole.
            Damaged: it says something else.
        """
        if found is None:
            return BEFORE_FORMATS
        match found:
            case [int(written), int(read_by)] if 0 < read_by <= written:
                if read_by > self.written:
                    raise NewerRelease(
                        f"{self.what} was written by a newer release (format {written}, to be read by format {read_by} "
                        f"or later; this release has format {self.written}): upgrade this program"
                    )
                return written
        raise Damaged(f"{self.what} says {str(found)[:80]} where its format should be: {WAYS_OUT}")

    @property
    def in_words(self) -> str:
        """Both numbers as a header has them."""
        return f"{self.written} {self.read_by}"

    def refused(self, error: Exception, found: object) -> NewerRelease | Damaged:
        """Why a value cannot be read, by what it says of its format."""
        try:
            written = self.check(found)
        except (NewerRelease, Damaged) as refusal:
            return refusal
        if written > self.written:
            return NewerRelease(
                f"{self.what} was written by a newer release (format {written}) and cannot be read by this one, which "
                f"has format {self.written} ({error}): upgrade this program"
            )
        return Damaged(f"{self.what} is damaged ({error}): {WAYS_OUT}")


WAYS_OUT: Final = "bring the store back from a backup, or rebuild it from the log"

PLAIN_CUSTOMER: Final = Format("a customer's profile", 1, 1)
CUSTOMER: Final = Format("a customer's profile", 2, 2)
"""A profile with excluded events, which releases of format 1 would count for everybody when the visitor signs in; one
without is written as `PLAIN_CUSTOMER`."""
SESSION_SUMMARY: Final = Format("a session's trail", 1, 1)
REVIEW: Final = Format("a review", 1, 1)
PLAIN_ENTRY: Final = Format("a kept entry", 1, 1)
SUMS_ENTRY: Final = Format("a kept entry", 2, 2)
CATALOGUE_ENTRY: Final = Format("a kept entry", 3, 3)
ENTRY: Final = Format("a kept entry", 4, 4)
"""An entry with late events, which releases of format 3 would lose. Without these, an entry with facts of a catalogue
or sales is written as `CATALOGUE_ENTRY`, one with sums alone as `SUMS_ENTRY`, one without sums as `PLAIN_ENTRY`."""
PRODUCT: Final = Format("a product's row", 1, 1)
LISTING: Final = Format("what the catalogue states of a product", 1, 1)
LETTER: Final = Format("a dead letter", 1, 1)
LATE_EVENT: Final = Format("a late event", 1, 1)
MESSAGE: Final = Format("a message between customers", 1, 1)
RESULT: Final = Format("a result of a window", 1, 1)


class MarkedMaps:
    """Encodes values of one class as maps that begin with their format. Every map has the same number of fields."""

    def __init__(self, format_: Format, sample: object) -> None:
        bare = _pack(sample)
        fields = len(_unpack(bare))
        self._cut = 1 if fields <= _SMALL_MAP else 3
        self._head = map_head(fields + 1) + _pack(FORMAT) + _pack([format_.written, format_.read_by])

    def encoder(self) -> Callable[[object], bytes]:
        """The function that writes a value with its format; one is called for every customer of every commit."""
        head, cut, pack = self._head, self._cut, _pack

        def encode(value: object) -> bytes:
            return head + pack(value)[cut:]

        return encode

    def is_bare(self, value: bytes, read: object) -> bool:
        """Whether a value holds what was read of it and nothing else, written by a release before formats."""
        return value == _pack(read)


def map_head(fields: int) -> bytes:
    """What a map of so many fields begins with in MessagePack."""
    return bytes([0x80 | fields]) if fields <= _SMALL_MAP else b"\xde" + fields.to_bytes(2, "big")


def fields_of(format_: Format, value: bytes) -> dict[str, Any]:
    """Read a map as it is, whatever its fields.

    Raises:
        Damaged: it is none.
    """
    try:
        fields = _unpack(value)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{format_.what} is damaged ({error}): {WAYS_OUT}") from None
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise Damaged(f"{format_.what} is damaged (it is no map of fields): {WAYS_OUT}")
    return fields


def format_in(value: bytes) -> object:
    """What a value says of its format, as far as it can be read at all."""
    try:
        fields = _unpack(value)
    except (ValueError, RecursionError):
        return None
    return fields.get(FORMAT) if isinstance(fields, Mapping) else None
