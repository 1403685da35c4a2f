"""Spooled: a load whose parts are put aside as files of the spool, unseen by readers of its table, until its unit commits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from halocline.aside import Aside, putting_aside
from halocline.batch import JSON, Batch, Op
from halocline.connector import Manifest, Part, Plan, Target
from halocline.errors import Truncated
from halocline.outcome import Outcome
from halocline.quantity import quantity
from halocline.spool import Spool, arriving, discard, storage
from halocline.staged import manifest_of, pieces_of

_ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a part: `rows` rows in `columns`, `bytes` in all, Arrow or another `kind`; `load` is the label of its load."""

    load: str
    op: Op
    path: str
    rows: int
    bytes: int
    columns: tuple[str, ...]
    kind: str = _ARROW

    def to_text(self) -> str:
        """This value as the text that a manifest carries; `from_text` reads it back."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> StagedFile:
        """The value that `to_text` wrote."""
        data = json.loads(text)
        return cls(**{**data, "op": Op(data["op"]), "columns": tuple(data["columns"])})

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of an Arrow stream, a batch at a time.

        Raises: Truncated when the file holds other rows than announced.
        """
        seen = 0
        with storage("Reading the staged files"):
            file = pa.OSFile(self.path)
        with file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                seen += batch.num_rows
                yield batch
        if seen != self.rows:
            cause = f"a staged file holds {quantity(seen, 'row')}, and {self.rows:,} announced"
            raise Truncated("Loading the staged files", cause, hint="Run it again; nothing was published.", rows=seen)


def staged_files(manifests: Iterable[Manifest]) -> list[StagedFile]:
    """The files that the manifests name; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its files were to hold.
    """
    return pieces_of(manifests, StagedFile.from_text, doing="Loading the staged files", called="files")


class SpooledLoad:
    """An open write to one table, whose `label` is the same however the caller spells its name.

    Staging touches the spool only, so any thread may do it, and any process that shares the spool's folder.
    """

    def __init__(self, target: Target, plan: Plan, *, label: str, spool: Spool) -> None:
        self.target = target
        self.plan = plan
        self.label = label
        self._spool = spool
        self._digest = hashlib.sha256(label.encode()).hexdigest()[:12]

    def ticket(self) -> JSON:
        """What `of_ticket` needs to open this load in another process."""
        target = {"schema": self.target.schema, "table": self.target.table}
        return {"target": target, "plan": self.plan.to_json(), "label": self.label}

    @classmethod
    def of_ticket(cls, ticket: JSON, *, spool: Spool) -> Self:
        """The load that wrote `ticket`."""
        data: dict[str, Any] = dict(ticket)  # type: ignore[call-overload]  # JSON of our own making
        return cls(Target(**data["target"]), Plan.from_json(data["plan"]), label=data["label"], spool=spool)

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; doing it again replaces its files.

        Raises: SchemaConflict when a batch lacks a column or has one of another type, StorageFailed when the disk is full.
        """
        files: list[StagedFile] = []
        receipts: list[JSON] = []
        with putting_aside(part, self.plan, arriving=lambda op: arriving(self.file(part, op))) as aside:
            for batch in batches:  # outside of `storage`: an OSError of the source is no failure of the disk
                receipts.extend(receipt for receipt in batch.receipts if receipt not in receipts)
                files.extend(self._take(batch, aside))
        with storage(f"Measuring the part {part.id}"):
            for op, made in aside.files.items():
                path = self.file(part, op)
                files.append(StagedFile(self.label, op, str(path), made.rows, path.stat().st_size, made.schema.names))
        size = sum(file.bytes for file in files)
        return manifest_of(part, files, size=size, receipts=receipts, lowest=aside.lowest, highest=aside.highest)

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: the destination takes all rows, or refuses the commit."""
        return iter(())

    def file(self, part: Part, op: Op) -> Path:
        """Where the rows of a part go: the same name whenever the part is staged again."""
        return self._spool.file(f"{self._digest}-{part.id}.{op}.arrow")

    def forget(self) -> None:
        """Delete the files that were made here; files as received belong to the spool."""
        for path in self._spool.path.glob(f"{self._digest}-*"):
            discard(path)

    def _take(self, batch: Batch, aside: Aside) -> Iterable[StagedFile]:
        """Put a batch aside; what is told are files that are staged as they came."""
        for rows in batch.arrow():
            with storage(aside.doing):
                aside.write(rows, batch.op)
        return ()
