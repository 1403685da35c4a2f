"""Load: copies the parts of a read into staging tables, unseen by readers of the target, until its unit commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

import psycopg

from halocline.batch import JSON, Batch
from halocline.connector import Lease, Manifest, Part, Plan, Target
from halocline.connectors.postgres import pages, positions
from halocline.connectors.postgres.client import Database, copy_in, number
from halocline.connectors.postgres.errors import gate
from halocline.connectors.postgres.staging import Piece, Stage
from halocline.connectors.postgres.tables import Table
from halocline.connectors.postgres.types import is_array, stored_type
from halocline.errors import HaloclineError, NotFound, Truncated
from halocline.outcome import Outcome
from halocline.quantity import quantity
from halocline.schema import Schema
from halocline.spool import storage
from halocline.staged import held_columns, is_nothing, manifest_of, wanted


class PostgresLoad:
    """An open write to one table. Each batch is copied in a transaction of its own, by any thread or process.

    A CSV page is sent as received where PostgreSQL reads it as it is meant, else parsed and sent again.
    """

    def __init__(self, database: Database, target: Target, plan: Plan, *, table: Table, lease: Lease) -> None:
        self.target = target
        self.plan = plan
        self.label = table.label
        self.stage_tables = Stage.of(table, lease=lease)
        self._database = database
        self._table = table
        self._lease = lease

    def ticket(self) -> JSON:
        """What `PostgresDestination.attach` needs to open this load in another process."""
        return {
            "target": {"schema": self.target.schema, "table": self.target.table},
            "plan": self.plan.to_json(),
            "table": {"schema": self._table.schema, "name": self._table.name, "columns": dict(self._table.columns or {}) or None},
            "lease": asdict(self._lease),
        }

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; of a part that is staged again, the manifest that is committed decides.

        Raises: SchemaConflict for a value that its column cannot hold, or a batch without a column; Truncated for a damaged page;
        NetworkFailed; LeaseLost when a newer run has swept the staging tables away.
        """
        pieces: list[Piece] = []
        receipts: list[JSON] = []
        sent = 0
        for batch in batches:
            receipts.extend(receipt for receipt in batch.receipts if receipt not in receipts)
            piece, size = self._send(part, batch)
            pieces.append(piece)
            sent += size
        return manifest_of(part, pieces, size=sent, receipts=receipts)

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: a database takes all rows, or refuses the commit."""
        return iter(())

    def forget(self) -> None:
        """Drop the staging tables, if they are still there and the server answers; else the flow's next run does."""
        try:
            with self._database.transaction() as cursor:
                self.stage_tables.drop(cursor)
        except (psycopg.Error, HaloclineError):
            return

    def _send(self, part: Part, batch: Batch) -> tuple[Piece, int]:
        """Copy one batch; what it became, and its bytes."""
        doing = f"Copying the part {part.id} into {self.target}"
        if is_nothing(batch):
            return Piece(self.label, batch.op, 0, 0), 0
        try:
            with gate(doing):
                return self._sent(batch, doing=doing)
        except NotFound:
            with gate(doing), self._database.transaction() as cursor:
                positions.check(cursor, lease=self._lease)
            raise

    def _sent(self, batch: Batch, *, doing: str) -> tuple[Piece, int]:
        schema = wanted(self.plan, held_columns(batch, doing=doing), op=batch.op, doing=doing)
        try:
            if batch.raw is not None and self._takes(batch, schema):
                with storage(f"Reading {batch.raw.path.name}"):
                    return self._copied(batch, batch.raw.columns, pages.bytes_of(batch.raw.path))
        except psycopg.errors.BadCopyFileFormat:
            raise
        except psycopg.DataError:
            pass  # perhaps only spelled in a way that PostgreSQL does not read (12.0 for a whole number); parsing says more
        try:
            return self._copied(batch, None, self._written(batch, schema, doing=doing), schema=schema)
        except psycopg.errors.CharacterNotInRepertoire:
            pages.refuse_nul(batch.arrow(), schema, doing=doing)
            raise

    def _written(self, batch: Batch, schema: Schema, *, doing: str) -> Iterator[bytes]:
        stored = {column.name: stored_type(column, self._table.type_of(column.name)) for column in schema}
        arrays = {name: kind for name, kind in stored.items() if is_array(kind)}
        return pages.csv_of(batch.arrow(), schema, doing=doing, arrays=arrays)

    def _takes(self, batch: Batch, schema: Schema) -> bool:
        """Whether the page may go as received: it has no other columns, and PostgreSQL reads it exactly."""
        assert batch.raw is not None, "the caller asked"
        return len(batch.raw.columns) == len(schema) and pages.is_exact(batch.raw, schema)

    def _copied(
        self, batch: Batch, columns: tuple[str, ...] | None, blocks: Iterable[bytes], *, schema: Schema | None = None
    ) -> tuple[Piece, int]:
        """Copy blocks of CSV in a transaction: as received with its own `columns`, or with those of `schema`."""
        names = columns if columns is not None else schema.names if schema is not None else ()
        sql = pages.copy_statement(self.stage_tables.table(batch.op), names, as_received=columns is not None)
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for block in blocks:
                size += len(block)
                yield block

        with self._database.transaction() as cursor:
            copied = copy_in(cursor, sql, blocks=counted())
            if copied != batch.count:
                cause = f"the page holds {quantity(copied, 'row')}, {batch.count:,} were announced"
                raise Truncated(f"Loading {self.plan.object}", cause, hint="Run it again; nothing was published.", rows=copied)
            xid = number(cursor, "SELECT pg_current_xact_id()::xid::text")
        return Piece(self.label, batch.op, xid, copied), size
