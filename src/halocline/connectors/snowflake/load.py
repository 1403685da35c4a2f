"""Load: puts the parts of a read into a stage, unseen by readers of the target, until its unit commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace

from snowflake.connector.errors import Error

from halocline.batch import JSON, Batch
from halocline.connector import Lease, Manifest, Part, Plan, Target
from halocline.connectors.snowflake import pages
from halocline.connectors.snowflake.client import Database
from halocline.connectors.snowflake.errors import gate
from halocline.connectors.snowflake.staging import Piece, Place, Stage
from halocline.connectors.snowflake.tables import Table
from halocline.errors import HaloclineError, Truncated
from halocline.outcome import Outcome
from halocline.quantity import quantity
from halocline.spool import Spool, discard, storage
from halocline.staged import held_columns, is_nothing, manifest_of, wanted


class SnowflakeLoad:
    """An open write to one table. Each batch becomes a gzipped file in the stage, put there by any thread.

    A CSV page goes as received where Snowflake reads it as it is meant, else it is parsed and written anew. One without rows is
    looked at and not put.
    """

    def __init__(
        self, database: Database, target: Target, plan: Plan, *, table: Table, place: Place, lease: Lease, spool: Spool
    ) -> None:
        self.target = target
        self.plan = plan
        self.label = table.label
        self.place = place
        self.stage_tables = Stage.of(table, place)
        self._database = database
        self.table = table
        self._lease = lease
        self._spool = spool

    def ticket(self) -> JSON:
        """What `SnowflakeDestination.attach` needs to open this load in another process.

        A temporary stage belongs to its session: there, only a load whose plan names a stage can be opened.
        """
        return {
            "target": {"schema": self.target.schema, "table": self.target.table},
            "plan": self.plan.to_json(),
            "table": {"database": self.table.database, "schema": self.table.schema, "name": self.table.name},
            "place": asdict(self.place),
            "lease": asdict(self._lease),
        }

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; of a part that is staged again, the manifest that is committed decides.

        Raises: SchemaConflict for a batch without a column, or one that does not fit; Truncated for a batch that has other rows
        than announced; StorageFailed; NetworkFailed; NotFound when a newer run has taken the stage away.
        """
        pieces: list[Piece] = []
        receipts: list[JSON] = []
        sent = 0
        for batch in batches:
            receipts.extend(receipt for receipt in batch.receipts if receipt not in receipts)
            if is_nothing(batch):
                continue
            piece, size = self._sent(part, batch)
            pieces.append(piece)
            sent += size
        return manifest_of(part, pieces, size=sent, receipts=receipts)

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: a database takes all rows, or refuses the commit."""
        return iter(())

    def forget(self) -> None:
        """Take files and tables away, if Snowflake answers; else the session's end does, or the flow's next run."""
        with suppress(Error, HaloclineError), self._database.cursor() as cursor:
            self.place.drop(cursor)
            self.stage_tables.drop(cursor)

    def _sent(self, part: Part, batch: Batch) -> tuple[Piece, int]:
        """Write a batch into a file of the spool and put it into the stage; what it became, and its bytes there."""
        doing = f"Putting the part {part.id} into the stage for {self.target}"
        schema = wanted(self.plan, held_columns(batch, doing=doing), op=batch.op, doing=doing)
        as_is = batch.raw is not None and len(batch.raw.columns) == len(schema) and pages.is_exact(batch.raw, schema)
        columns = batch.raw.columns if batch.raw is not None and as_is else schema.names
        piece = Piece.new(self.label, batch.op, part=part.id, columns=columns, as_received=as_is)
        file = self._spool.file(piece.file)
        try:
            with storage(f"Writing {file.name}"):
                if batch.raw is not None and as_is:
                    pages.gzipped(batch.raw, file)
                    count = batch.count
                else:
                    count = pages.written(batch.arrow(), schema, file=file, doing=doing)
                size = file.stat().st_size
            if count != batch.count:
                cause = f"the page holds {quantity(count, 'row')}, {batch.count:,} were announced"
                raise Truncated(doing, cause, hint="Run it again; nothing was published.", rows=count)
            if count:
                with gate(doing):
                    self._database.upload(file, self.place.folder(piece.folder))
        finally:
            discard(file)
        return replace(piece, rows=count), size
