"""Events as the pipeline takes them: JSON lines, passed through untouched."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.formats.rows import Options, numbered, utc_ms
from harness.support.files import display_name
from harness.support.source_record import SourceRecord

_MOST_MS = 2**53
"""Further from 1970 there is no time; and JSON readers disagree about larger numbers."""


class _Stamped(msgspec.Struct):
    timestamp: object = None


_stamped = msgspec.json.Decoder(_Stamped).decode


def read(path: Path, options: Options) -> Iterator[SourceRecord]:  # noqa: ARG001 - the events have ids of their own
    """Read each line as it stands, broken ones too: refusing is the pipeline's task. Blank ones are none, as for it."""
    name = display_name(path)
    for number, line in numbered(path):
        raw = line.removeprefix(BOM_UTF8) if number == 1 else line
        if raw.strip():
            yield SourceRecord(_occurred_at_ms(raw), raw, f"{name}:{number}")


def _occurred_at_ms(raw: bytes) -> int | None:
    try:
        timestamp = _stamped(raw).timestamp
        time = utc_ms(timestamp) if isinstance(timestamp, str) else timestamp
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    if isinstance(time, bool) or not isinstance(time, int | float) or abs(time) > _MOST_MS:
        return None
    return round(time)
