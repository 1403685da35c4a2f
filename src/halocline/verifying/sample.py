"""Sample: so many of the rows that went by, each as likely as every other, without knowing how many there would be."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


class Sample:
    """The keys of `size` rows by chance; `seed` (None: the system's chance) makes it the same ones each time."""

    def __init__(self, size: int, *, seed: int | None = None) -> None:
        self._size = size
        self._seed = seed
        self._drawn: pa.Table | None = None

    @property
    def keys(self) -> list[object]:
        """The keys chosen so far."""
        return [] if self._drawn is None else list(self._drawn.column("key").to_pylist())

    def offer(self, keys: pa.Array) -> None:
        """Let these rows take part: each draws a number, and the lowest stay."""
        if not self._size or not len(keys):
            return
        initializer = "system" if self._seed is None else self._seed + len(keys)
        drawn = pa.table({"key": keys, "lot": pc.random(len(keys), initializer=initializer)})
        every = drawn if self._drawn is None else pa.concat_tables([self._drawn, drawn])
        self._drawn = every.take(pc.select_k_unstable(every, k=self._size, sort_keys=[("lot", "ascending")]))
