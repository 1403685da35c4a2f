"""GoneRows: the records that a mirror is about to delete, as rows of a push of their own, and what is learnt of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from halocline.outcome import Fate
from halocline.push.destination import RowBatch, Told
from halocline.push.diff.store import Store
from halocline.push.order import Nulls
from halocline.push.sieve import Sieve

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_ALREADY_GONE = "ENTITY_IS_DELETED"  # REST API Developer Guide, "Status Codes and Error Responses": it lies in the recycle bin
_PART = 20_000  # rows at a time


class GoneRows(Sieve):
    """The records to delete, as `Rows`; and a `Sieve` that lets all through and forgets what was deleted.

    A record of which nobody knows whether it was deleted is not forgotten, but its row is sent should it come back. `sent` held
    the rows back, and knows who else may have pushed since.
    """

    nulls = Nulls.CLEAR
    clears = None
    name = "gone"

    def __init__(self, count: int, store: Store, sent: Sieve | None = None) -> None:
        self.already_gone = 0
        self._sent = sent
        self._count = count
        self._store = store
        self._load = 0

    def __len__(self) -> int:
        return self._count

    def batches(self) -> Iterator[RowBatch]:
        """See `Rows`; each has an Id."""
        for first in range(0, self._count, _PART):
            ids = self._store.gone(first, _PART)
            yield RowBatch(range(first, first + len(ids)), pa.RecordBatch.from_pydict({"Id": pa.array(ids, pa.string())}))

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """See `Rows`."""
        return [{"Id": record_id} for number in numbers for record_id in self._store.gone(number, 1)]

    def close(self) -> None:
        """Nothing: the file is that of the sent rows."""

    def knows(self, run: str) -> bool:
        """See `Sieve.knows`."""
        return self._store.knows(run) or self._store.awaits(run)

    def refuse_others(self, ledger: Ledger, run: str) -> None:
        """See `Sieve.refuse_others`: what another push wrote since is not to be deleted."""
        if self._sent is not None:
            self._sent.refuse_others(ledger, run)

    def begin(self, run: str) -> None:
        """See `Sieve.begin`."""
        self._load = self._store.begin(run)

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        """See `Sieve.sift`."""
        self._store.wait_to_go(self._load, batch.numbers)
        return batch, ()

    def sifted(self) -> Sequence[str]:
        """See `Sieve.sifted`."""
        self._store.keep(self._load)
        return ()

    def told(self, told: Told) -> None:
        """See `Sieve.told`; what was deleted is forgotten."""
        deleted: list[int] = [] if told.written is None else told.written.column("row").to_pylist()
        gone = [one.row for one in told.others if one.code == _ALREADY_GONE and one.fate is Fate.REFUSED and one.row is not None]
        self.already_gone += len(gone)
        self._store.drop_gone(self._load, [*deleted, *gone])
        doubtful = [one.row for one in told.others if one.fate is Fate.IN_DOUBT and one.row is not None]
        if doubtful:
            self._store.doubt_gone(self._load, doubtful)
