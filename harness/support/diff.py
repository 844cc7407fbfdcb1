"""Compare two values and say in a line how they differ."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

CHUNK: Final = 1_000
RELATIVE: Final = 1e-9

Line = str
_Key = TypeVar("_Key")


def diff(what: str, found: object, wanted: object) -> Iterator[Line]:
    """Compare two values; of mappings, each key."""
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
    """Say whether two values are equal, floats to 1e-9 of their size."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=RELATIVE)
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def shown(value: object) -> str:
    """Write a value for a line, the beginning of a long one."""
    text = repr(value) if isinstance(value, str | tuple | list) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def chunks(values: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    """Part values into bounded pieces, as stores are asked for them."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def exactly_once(what: str, wanted: Iterable[_Key], times_seen: Mapping[_Key, int]) -> Iterator[Line]:
    """Name what did not come exactly once in a scan."""
    for key in wanted:
        times = times_seen.get(key, 0)
        if times != 1:
            yield f"{what} {key}: {f'comes {times} times in the scan' if times else 'is missing'}"
