"""Load: puts the parts of a read aside as files, unseen by readers of the database, until its unit commits."""

from __future__ import annotations

from collections.abc import Sequence

from halocline.batch import Op, Raw
from halocline.spool import storage
from halocline.spooled import SpooledLoad, StagedFile
from halocline.staged import first_line, refuse_damaged, wanted

CSV = "csv"


class DuckDBLoad(SpooledLoad):
    """An open write to one table. CSV files as received stay where they are; Arrow batches become one file a part."""

    def _as_received(self, raw: Raw, op: Op, *, doing: str) -> Sequence[StagedFile]:
        """A file stays where it is; none for an empty answer, which may come without its header line."""
        with storage(doing):
            size = raw.path.stat().st_size
            if raw.rows == 0 and size == 0:
                return []
            held = first_line(raw, encoding="utf-8")  # DuckDB refuses what is no UTF-8
        refuse_damaged(raw, held, doing=doing)
        wanted(self.plan, held, op=op, doing=doing)
        return [StagedFile(self.label, op, str(raw.path), raw.rows, size, held, CSV)]
