"""How deep JSON is nested: found in the bytes before they are parsed, and in the values after."""

from typing import Final

from realtime_pipeline.infrastructure.codecs.invalid import Invalid

DEPTH_MAX: Final = 64
_OPENING: Final = frozenset(b"[{")
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))


def check_depth(value: bytes) -> None:
    """See that a document is no deeper than any parser can go, whoever calls it from however far down.

    Takes time linear in the bytes, whatever they are.
    """
    if value.count(b"[") + value.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for byte in _brackets(value):
        depth += 1 if byte in _OPENING else -1
        if depth > DEPTH_MAX:
            raise Invalid(f"nested: deeper than {DEPTH_MAX} levels")


def _brackets(value: bytes) -> bytes:
    """The brackets outside of texts: those between an even number of quotes, escaped ones not counted."""
    unescaped = value.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(unescaped.split(b'"')[::2]).translate(None, _NOT_BRACKETS)


def nesting(value: object) -> int:
    """How deep objects and lists lie in one another. The parser bounds the depth, so recursion is safe."""
    if isinstance(value, dict):
        return 1 + max(map(nesting, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(nesting, value), default=0)
    return 0
