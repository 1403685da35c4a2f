"""Load: puts the parts of a read aside as files, unseen by readers of the database, until its unit commits."""

from __future__ import annotations

from collections.abc import Iterable

from halocline.aside import Aside
from halocline.batch import Batch, Op, Raw
from halocline.spool import storage
from halocline.spooled import SpooledLoad, StagedFile
from halocline.staged import first_line, refuse_damaged, wanted

CSV = "csv"


class DuckDBLoad(SpooledLoad):
    """An open write to one table. CSV files as received stay where they are; Arrow batches become one file a part."""

    def _take(self, batch: Batch, aside: Aside) -> Iterable[StagedFile]:
        if batch.raw is None:
            return super()._take(batch, aside)
        with storage(aside.doing):
            return self._kept(batch.raw, batch.op, doing=aside.doing)

    def _kept(self, raw: Raw, op: Op, *, doing: str) -> list[StagedFile]:
        """A file as received, which stays where it is; none for an empty answer, which may come without its header line."""
        size = raw.path.stat().st_size
        if raw.rows == 0 and size == 0:
            return []
        held = first_line(raw, encoding="utf-8")  # DuckDB refuses what is no UTF-8
        refuse_damaged(raw, held, doing=doing)
        wanted(self.plan, held, op=op, doing=doing)
        return [StagedFile(self.label, op, str(raw.path), raw.rows, size, held, CSV)]
