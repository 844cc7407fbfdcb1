"""How many different values."""

import math
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Self

from realtime_pipeline.domain.analytics.measures.accumulator import Accumulator, Chunk, Reads, Result, Value
from realtime_pipeline.domain.analytics.measures.measure import Measure

INDEX_BITS: Final = 12
"""p: the leading bits of a digest, which choose its register. The standard error is 1.04 / √2^p, about 1.6 %."""
_REGISTERS: Final = 1 << INDEX_BITS
_RANK_BITS: Final = 64 - INDEX_BITS
_RANK_MASK: Final = (1 << _RANK_BITS) - 1
_BLOCK: Final = 64
"""The registers of a chunk."""
_ALPHA: Final = 0.5 / math.log(2)
_BLOCK_NAME: Final = "r"
"""Begins the name of a chunk of registers; names of digests are hexadecimal."""
_NO_DIGESTS: Final[frozenset[int]] = frozenset()


@lru_cache(16_384)  # the same text is added to the panes of several windows, and frequent values come again
def hash_64(text: str) -> int:
    """Return the 64-bit BLAKE2b digest of a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Distinct(Accumulator):
    """The number of different values: exact up to `entries_max` of them, beyond that estimated by HyperLogLog.

    Registers: Flajolet, Fusy, Gandouet and Meunier 2007, "HyperLogLog: the analysis of a near-optimal cardinality
    estimation algorithm", section 1, with p = 12 and hashes of 64 bits. Estimate: Ertl 2017, "New cardinality
    estimation algorithms for HyperLogLog sketches", section 4. A digest has all bits that a register needs, so the
    state depends only on the set of digests, and not on when their number has passed the bound.
    """

    reads = Reads.TEXT
    __slots__ = ("_changed", "_deleted", "_entries_max", "digests", "registers")

    def __init__(self, measure: Measure) -> None:
        self._entries_max = measure.entries_max
        self.digests: set[int] = set()
        self.registers: bytearray | None = None  # once there, `digests` stays empty
        self._changed: set[int] = set()  # new digests; once there are registers, numbers of their changed chunks
        self._deleted = _NO_DIGESTS  # stored digests that became registers

    def add(self, value: Value, at_ms: int, event_id: str) -> None:
        """Add a value to the set."""
        self._add_digest(hash_64(str(value)))

    def _add_digest(self, digest: int) -> None:
        registers = self.registers
        if registers is not None:
            index = digest >> _RANK_BITS
            rank = _RANK_BITS + 1 - (digest & _RANK_MASK).bit_length()  # leading zeros after the index, plus 1
            if rank > registers[index]:
                registers[index] = rank
                self._changed.add(index // _BLOCK)
        elif digest not in self.digests:
            self.digests.add(digest)
            self._changed.add(digest)
            if len(self.digests) > self._entries_max:
                self._use_registers()

    def _use_registers(self) -> bytearray:
        """Put the digests into registers."""
        digests, self.digests = self.digests, set()
        registers = self.registers = bytearray(_REGISTERS)
        self._deleted = frozenset(digests - self._changed)
        self._changed.clear()
        for digest in digests:
            self._add_digest(digest)
        return registers

    def merge(self, other: Self) -> None:
        """Add the other set."""
        for digest in other.digests:
            self._add_digest(digest)
        if other.registers is None:
            return
        mine = self._use_registers() if self.registers is None else self.registers
        for index, rank in enumerate(other.registers):
            if rank > mine[index]:
                mine[index] = rank
                self._changed.add(index // _BLOCK)

    def changes(self) -> dict[str, Chunk | None]:
        """New digests as names, None for those that became registers, and changed chunks of registers."""
        changes: dict[str, Chunk | None] = {f"{digest:016x}": None for digest in self._deleted}
        self._deleted = _NO_DIGESTS
        for number in self._changed:
            if self.registers is None:
                changes[f"{number:016x}"] = 1
            else:
                changes[f"{_BLOCK_NAME}{number}"] = bytes(self.registers[number * _BLOCK : (number + 1) * _BLOCK])
        self._changed.clear()
        return changes

    def load(self, chunks: Mapping[str, Chunk]) -> None:
        """Take over the digests or the registers: where there is a chunk of registers, there are no digests."""
        for name, chunk in chunks.items():
            if isinstance(chunk, bytes):
                self.registers = self.registers or bytearray(_REGISTERS)
                start = int(name.removeprefix(_BLOCK_NAME)) * _BLOCK
                self.registers[start : start + _BLOCK] = chunk
            else:
                self.digests.add(int(name, 16))

    def result(self) -> Result:
        """The number, exact or estimated."""
        return len(self.digests) if self.registers is None else round(_estimate(self.registers))


def _estimate(registers: bytearray) -> float:
    """Estimate how many digests have made the registers: Ertl 2017, section 4, algorithm 6."""
    counts = [registers.count(rank) for rank in range(_RANK_BITS + 2)]
    total = _REGISTERS * _tau(1 - counts[-1] / _REGISTERS)
    for count in counts[-2:0:-1]:
        total = (total + count) / 2
    return _ALPHA * _REGISTERS**2 / (total + _REGISTERS * _sigma(counts[0] / _REGISTERS))


def _sigma(share: float) -> float:
    """σ(x) = x + Σ x^(2^k) 2^(k−1) over k ≥ 1, for x < 1: the part of the registers that are still 0."""
    total, power, factor, before = share, share, 1.0, -1.0
    while total != before:
        before = total
        power *= power
        total += power * factor
        factor *= 2
    return total


def _tau(share: float) -> float:
    """τ(x) = (1 − x − Σ (1 − x^(2^−k))² 2^−k over k ≥ 1) / 3: the part of the registers that are at their largest."""
    if share in {0, 1}:
        return 0.0
    total, root, factor, before = 1 - share, share, 1.0, -1.0
    while total != before:
        before = total
        root = math.sqrt(root)
        factor /= 2
        total -= (1 - root) ** 2 * factor
    return total / 3
