"""Compares two values, and writes each difference as a line."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

CHUNK: Final = 1_000
RELATIVE: Final = 1e-9

Line = str
_Key = TypeVar("_Key")


def diff(what: str, found: object, wanted: object) -> Iterator[Line]:
    """Compare two values; mappings are compared key by key."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            if key not in wanted:
                yield f"{what} of {key} is {shown(found[key])}, should not be there"
            elif key not in found:
                yield f"{what} of {key} is missing, should be {shown(wanted[key])}"
            else:
                yield from diff(f"{what} of {key}", found[key], wanted[key])
    elif not same(found, wanted):
        yield f"{what} is {shown(found)}, should be {shown(wanted)}"


def same(found: object, wanted: object) -> bool:
    """Whether two values are equal; floats may differ by 1e-9 of their size."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=RELATIVE)
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def shown(value: object) -> str:
    """Write a value for a line, cut to 200 characters."""
    text = repr(value) if isinstance(value, str | tuple | list) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def chunks(values: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    """Divide values into chunks of at most `CHUNK`, for queries to a store."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def exactly_once(what: str, wanted: Iterable[_Key], times_seen: Mapping[_Key, int]) -> Iterator[Line]:
    """Yield a line for each wanted key that a scan did not return exactly once."""
    for key in wanted:
        times = times_seen.get(key, 0)
        if times != 1:
            yield f"{what} {key}: {f'is {times} times in the scan' if times else 'is missing'}"
