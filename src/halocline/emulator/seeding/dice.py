"""Random columns, reproducible and a block at a time: what seeding is made of.

Random bits come from Python's generator in one call per column; everything after that is Arrow's arithmetic, so a million
rows need no Python object each.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

_WEIGHT_SLOTS = 1_000  # resolution of weighted choices
_BITS = 32


class Dice:
    """Throws columns of `rows` values; the same `seed` throws the same columns in the same order."""

    def __init__(self, seed: str, rows: int) -> None:
        self.rows = rows
        self._random = random.Random(seed)  # noqa: S311 - made-up records, no secrets

    def numbers(self, below: int) -> pa.Array:
        """Whole numbers from 0 to `below` - 1, evenly spread; `below` up to 2**31."""
        return pc.shift_right(pc.multiply(self._bits(), below), _BITS)

    def numbers_below(self, limits: pa.Array) -> pa.Array:
        """For each row a whole number from 0 to that row's limit - 1, and 0 where the limit is 0."""
        return pc.shift_right(pc.multiply(self._bits(), limits), _BITS)

    def fractions(self) -> pa.Array:
        """Numbers from 0 to just below 1, evenly spread."""
        return pc.divide(pc.cast(self._bits(), pa.float64()), float(1 << _BITS))

    def chance(self, probability: float) -> pa.Array:
        """True in that share of the rows."""
        return pc.less(self.fractions(), probability)

    def pick(self, values: pa.Array) -> pa.Array:
        """One of `values`, all equally likely."""
        return values.take(self.numbers(len(values)))

    def weighted(self, weights: Mapping[str, float]) -> pa.Array:
        """One of the keys, as likely as its weight says."""
        return self.pick(spread(weights))

    def sometimes(self, column: pa.Array, share: float) -> pa.Array:
        """The column with that share of its values kept and the others null."""
        return only_where(self.chance(share), column)

    def digits(self, count: int) -> pa.Array:
        """Texts of `count` decimal digits, up to nine."""
        return padded(self.numbers(10**count), count)

    def _bits(self) -> pa.Array:
        buffer = pa.py_buffer(self._random.randbytes(self.rows * _BITS // 8))
        return pc.cast(pa.Array.from_buffers(pa.uint32(), self.rows, [None, buffer]), pa.int64())


def spread(weights: Mapping[str, float]) -> pa.Array:
    """Keys repeated in proportion to their weights."""
    total = sum(weights.values())
    repeated: list[str] = []
    for key, weight in weights.items():
        repeated += [key] * max(1, round(_WEIGHT_SLOTS * weight / total))
    return pa.array(repeated, pa.string())


def joined(*parts: pa.Array | str) -> pa.Array:
    """The parts of each row written one after another; null where a part is null."""
    return pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in parts), "")


def padded(numbers: pa.Array, width: int) -> pa.Array:
    """Numbers as text with leading zeros."""
    return pc.utf8_lpad(pc.cast(numbers, pa.string()), width, "0")


def rounded(numbers: pa.Array, decimals: int) -> pa.Array:
    """Numbers to so many decimals, each the double that reads so: 2717.28 and not 2717.2799999999997."""
    scale = float(10**decimals)
    return pc.divide(pc.round(pc.multiply(numbers, scale)), scale)


def only_where(condition: pa.Array, column: pa.Array) -> pa.Array:
    """The column where the condition holds, null elsewhere."""
    return pc.if_else(condition, column, pa.scalar(None, column.type))


def constant(value: str | float | bool, rows: int) -> pa.Array:  # noqa: FBT001 - a value like the others
    """The same value in every row."""
    return pa.repeat(pa.scalar(value), rows)


def texts(values: Sequence[str]) -> pa.Array:
    """A text array; what is empty is null, as in an org."""
    return pa.array([value or None for value in values], pa.string())
