"""Events in the pipeline's own schema: JSON lines, which are passed on unchanged."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.formats.rows import Options, numbered, utc_ms
from harness.support.files import display_name
from harness.support.source_record import SourceRecord

_MOST_MS = 2**53
"""The largest time in ms: JSON readers disagree about larger whole numbers."""


class _Stamped(msgspec.Struct):
    timestamp: object = None


_stamped = msgspec.json.Decoder(_Stamped).decode


def read(path: Path, options: Options) -> Iterator[SourceRecord]:  # noqa: ARG001 - the events have ids
    """Read each line unchanged, also a malformed one: the pipeline rejects it. Blank lines are skipped, as by it."""
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
