"""Results of final windows as JSON, so that other programs read them from tables and topics."""

from typing import Final

import msgspec

from realtime_pipeline.application.errors import Damaged, NewerRelease
from realtime_pipeline.domain.analytics.definitions import WindowedAggregate
from realtime_pipeline.domain.analytics.measures.accumulator import Entry, Result
from realtime_pipeline.domain.analytics.results import WindowResult, WindowState
from realtime_pipeline.infrastructure.codecs.formats import RESULT


class _ResultDocument(msgspec.Struct):
    """A result: times are ms since 1970, the key is null for all keys that are not kept."""

    start: int
    end: int
    key: tuple[str | None, ...] | None
    values: dict[str, int | float | str | list[tuple[str, int | float]] | None]
    partial: bool = False
    format: tuple[int, int] = (RESULT.written, RESULT.read_by)


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_ResultDocument).decode
_decode_any: Final = msgspec.json.Decoder().decode


def encode_result(result: WindowResult) -> bytes:
    """Encode a result of a final window."""
    values = {name: _listed(value) for name, value in result.values.items()}
    return _encode(_ResultDocument(result.start_ms, result.end_ms, result.key, values, result.is_partial))


class _PublishedDocument(_ResultDocument, kw_only=True):
    """A result that stands by itself: with the definition's name and fingerprint."""

    name: str
    fingerprint: str


def encode_published(definition: WindowedAggregate, result: WindowResult) -> bytes:
    """Encode a result of a final window for programs that know nothing else of it."""
    values = {name: _listed(value) for name, value in result.values.items()}
    return _encode(
        _PublishedDocument(
            result.start_ms,
            result.end_ms,
            result.key,
            values,
            result.is_partial,
            name=definition.name,
            fingerprint=definition.fingerprint,
        )
    )


def encode_published_key(definition: WindowedAggregate, result: WindowResult) -> bytes:
    """Encode the key under which a result is published: the same whoever publishes it, and however often."""
    return _encode((definition.name, definition.fingerprint, result.start_ms, result.key))


def encode_key(result: WindowResult) -> bytes:
    """Encode the key of a result, by which it is stored."""
    return _encode(result.key)


def decode_result(value: bytes) -> WindowResult:
    """Decode a result.

    Raises:
        NewerRelease: a newer release wrote it, and this one cannot read it.
        Damaged: it is no result.
    """
    try:
        found = _decode(value)
        RESULT.check(list(found.format))
    except ValueError as error:
        raise _refusal(value, error) from None
    return WindowResult(found.start, found.end, found.key, found.values, WindowState.FINAL, found.partial)


def _refusal(value: bytes, error: ValueError) -> NewerRelease | Damaged:
    try:
        document = _decode_any(value)
    except ValueError:
        document = None
    return RESULT.refused(error, document.get("format") if isinstance(document, dict) else None)


def _listed(value: Result) -> int | float | str | list[Entry] | None:
    return value if value is None or isinstance(value, int | float | str) else list(value)
