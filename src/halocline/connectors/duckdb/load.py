"""Load: puts the parts of a read aside as files, unseen by readers of the database, until its unit commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from halocline.aside import putting_aside
from halocline.batch import JSON, Batch, Op, Raw
from halocline.connector import Manifest, Part, Plan, Target
from halocline.connectors.duckdb.staging import StagedFile
from halocline.outcome import Outcome
from halocline.spool import Spool, arriving, discard, storage
from halocline.staged import first_line, manifest_of, refuse_damaged, wanted


class DuckDBLoad:
    """An open write to one table. Staging touches files only, never the database, so any thread or process may do it.

    CSV files as received stay where they are; Arrow batches become one file a part, written as they come.
    """

    def __init__(self, target: Target, plan: Plan, *, label: str, spool: Spool) -> None:
        self.target = target
        self.plan = plan
        self.label = label
        self._spool = spool

    def ticket(self) -> JSON:
        """What `DuckDBDestination.attach` needs to open this load in another process on this machine."""
        target = {"schema": self.target.schema, "table": self.target.table}
        return {"target": target, "plan": self.plan.to_json(), "label": self.label}

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; doing it again replaces its file.

        Raises: SchemaConflict when a batch lacks a column or has one of another type, StorageFailed when the disk is full.
        """
        files: list[StagedFile] = []
        receipts: list[JSON] = []
        with putting_aside(part, self.plan, arriving=lambda op: arriving(self.file(part, op))) as aside:
            for batch in batches:  # outside of `storage`: an OSError of the source is no failure of the disk
                receipts.extend(receipt for receipt in batch.receipts if receipt not in receipts)
                with storage(aside.doing):
                    if batch.raw is not None:
                        files.extend(self._kept(batch.raw, batch.op, doing=aside.doing))
                    elif batch.rows is not None:
                        aside.write(batch.rows, batch.op)
        for op, made in aside.files.items():
            files.append(StagedFile(self.label, "arrow", op, str(self.file(part, op)), made.rows, made.schema.names))
        with storage(f"Measuring the part {part.id}"):
            size = sum(Path(file.path).stat().st_size for file in files)
        return manifest_of(part, files, size=size, receipts=receipts, lowest=aside.lowest, highest=aside.highest)

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: a database takes all rows, or refuses the commit."""
        return iter(())

    def forget(self) -> None:
        """Delete the files that were made here; files as received belong to the spool."""
        for path in self._spool.path.glob(f"{_digest(self.label)}-*"):
            discard(path)

    def file(self, part: Part, op: Op) -> Path:
        """Where the rows of a part go: the same name whenever the part is staged again."""
        return self._spool.file(f"{_digest(self.label)}-{part.id}.{op}.arrow")

    def _kept(self, raw: Raw, op: Op, *, doing: str) -> Iterator[StagedFile]:
        """A file as received, which stays where it is; none for an empty answer, which may come without its header line."""
        if raw.rows == 0 and raw.path.stat().st_size == 0:
            return
        held = first_line(raw, encoding="utf-8")  # DuckDB refuses what is no UTF-8
        refuse_damaged(raw, held, doing=doing)
        wanted(self.plan, held, op=op, doing=doing)
        yield StagedFile(self.label, "csv", op, str(raw.path), raw.rows, held)


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:12]
