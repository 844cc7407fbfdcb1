"""The nesting depth of JSON: checked in the bytes before parsing, and in the values after it."""

from typing import Final

from realtime_pipeline.infrastructure.codecs.invalid import Invalid

DEPTH_MAX: Final = 64
_OPENING: Final = frozenset(b"[{")
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))


def check_depth(value: bytes) -> None:
    """Check that a document is not nested too deep for a recursive parser, in time linear in the bytes.

    Raises:
        Invalid: it is.
    """
    if value.count(b"[") + value.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for byte in _brackets(value):
        depth += 1 if byte in _OPENING else -1
        if depth > DEPTH_MAX:
            raise Invalid(f"nested: deeper than {DEPTH_MAX} levels")


def _brackets(value: bytes) -> bytes:
    """Return the brackets outside of strings: those after an even number of unescaped quotes."""
    unescaped = value.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(unescaped.split(b'"')[::2]).translate(None, _NOT_BRACKETS)


def nesting(value: object) -> int:
    """Return the nesting depth of objects and lists. The parser bounds the depth, so recursion is safe."""
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0
