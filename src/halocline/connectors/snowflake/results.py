"""SnowflakeResults: the tables of what became of pushed rows, in a Snowflake."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
from snowflake.connector.errors import Error

from halocline.batch import Op
from halocline.connector import Lease
from halocline.connectors.snowflake.client import Cursor, Database, literal, uppered
from halocline.connectors.snowflake.errors import gate
from halocline.connectors.snowflake.pages import written_table
from halocline.connectors.snowflake.staging import Piece, Place, copied
from halocline.connectors.snowflake.tables import Table, described, make_schema
from halocline.errors import HaloclineError, Truncated
from halocline.push.tables import FAILURE, JOB_INFO, SUCCESS, TABLES, Part
from halocline.quantity import quantity
from halocline.spool import Spool, storage
from halocline.standard_sql import quoted

_DOING = "Writing the result tables"
_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "NUMBER(38,0)",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", "UTC"): "TIMESTAMP_TZ",
}


class SnowflakeResults:
    """The tables in `schema` of the Snowflake behind a connection, a session or a `snowflake://` URI; names are upper case.

    Schema and tables are made here, so that what cannot be written is told before anything is sent; a table that LHT made gets
    our columns. Lines go through a temporary stage.
    Raises: FixConfig, LoginRefused, AccessDenied, NetworkFailed.
    """

    def __init__(self, session: object, schema: str) -> None:
        self._schema = uppered(schema.strip(), doing=_DOING)
        self._database = Database(session)
        run = uuid.uuid4().hex
        self._place = Place.of(self._database, self._table(JOB_INFO), lease=Lease(run, "", 0), stage_name=None)
        self._spool = Spool(run)
        try:
            with gate(_DOING), self._database.cursor() as cursor:
                make_schema(cursor, self._database, schema=self._schema)
                for name, columns in TABLES.items():
                    self._make(cursor, self._table(name), columns)
                self._place.make(cursor)
        except BaseException:
            self.close()
            raise

    def put(self, part: Part) -> None:
        """See `ResultTables.put`.

        Raises: Truncated when Snowflake loads other lines than were put.
        """
        with gate(_DOING):
            sent = {name: self._sent(name, lines) for name, lines in part.tables.items() if lines.num_rows}
            with self._database.transaction() as cursor:
                runs = ", ".join(literal(run) for run in part.runs)
                jobs = f'"CHUNK" = {literal(part.chunk)} AND "RUN" IN ({runs})' if part.runs else "FALSE"
                cursor.execute(f"DELETE FROM {self._table(JOB_INFO).sql} WHERE {jobs}")
                self._drop_told(cursor, part)
                for name, piece in sent.items():
                    self._copy(cursor, name, piece)

    def close(self) -> None:
        """See `ResultTables.close`."""
        with suppress(Error, HaloclineError), self._database.cursor() as cursor:
            self._place.drop(cursor)
        self._database.close()
        self._spool.close()

    def _sent(self, name: str, lines: pa.Table) -> Piece:
        """Put lines into the stage."""
        piece = Piece.new(name, Op.UPSERT, part=name, columns=lines.schema.names, as_received=False)
        file = self._spool.file(piece.file)
        with storage(f"Writing {file.name}"):
            written_table(lines, file=file)
        self._database.upload(file, self._place.folder(piece.folder))
        file.unlink()
        return replace(piece, rows=lines.num_rows)

    def _copy(self, cursor: Cursor, name: str, piece: Piece) -> None:
        """Load what was put, in the cursor's transaction, all of it or nothing."""
        found = copied(cursor, self._table(name), piece=piece, source=self._place.folder(piece.folder) + piece.file)
        if found != {piece.file: piece.rows}:
            cause = f"of {name} {quantity(piece.rows, 'row was')} put, and COPY loaded {sum(found.values()):,}"
            raise Truncated(_DOING, cause, hint="Nothing of this part was written there.", files=[piece.file])

    def _drop_told(self, cursor: Cursor, part: Part) -> None:
        """Take out what was told of the same rows before."""
        numbers = part.told_again
        if not numbers:
            return
        told = f'"RUN" IN ({", ".join(literal(run) for run in part.instead_of)}) AND "ROW" IN ({", ".join(map(str, numbers))})'
        for name in (SUCCESS, FAILURE):
            cursor.execute(f"DELETE FROM {self._table(name).sql} WHERE {told}")

    def _make(self, cursor: Cursor, table: Table, columns: pa.Schema) -> None:
        typed = {column.name.upper(): f"{quoted(column.name.upper())} {_TYPES[column.type]}" for column in columns}
        table = described(cursor, table)
        if not table.exists:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(typed.values())})")
        for name, column in typed.items():
            if table.exists and table.type_of(name) is None:
                cursor.execute(f"ALTER TABLE {table.sql} ADD COLUMN {column}")

    def _table(self, name: str) -> Table:
        return Table(self._database.name, self._schema, name.upper())
