"""PostgresResults: the tables of what became of pushed rows, in a PostgreSQL."""

from __future__ import annotations

import pyarrow as pa

from halocline.connectors.postgres.client import Cursor, Database, copy_in, lowered
from halocline.connectors.postgres.errors import gate
from halocline.connectors.postgres.pages import as_csv, copy_statement
from halocline.connectors.postgres.tables import Table, make_schema
from halocline.push.tables import FAILURE, JOB_INFO, SUCCESS, TABLES, Part
from halocline.standard_sql import quoted

_DOING = "Writing the result tables"
_TYPES = {pa.string(): "text", pa.int64(): "bigint", pa.bool_(): "boolean", pa.timestamp("us", "UTC"): "timestamptz"}


class PostgresResults:
    """The tables in `schema` of the PostgreSQL behind a connection or a `postgresql://` URI; all names are lower case.

    Schema and tables are made here, so that what cannot be written is told before anything is sent; a table that LHT made gets
    our columns. A NUL character, which PostgreSQL cannot store, becomes U+FFFD there: what is told of a row is never refused.
    Raises: FixConfig, LoginRefused, AccessDenied, NetworkFailed.
    """

    def __init__(self, session: object, schema: str) -> None:
        self._schema = lowered(schema.strip(), doing=_DOING)
        self._database = Database(session)
        try:
            with gate(_DOING), self._database.transaction() as cursor:
                make_schema(cursor, self._table(JOB_INFO))
                for name, columns in TABLES.items():
                    self._make(cursor, self._table(name), columns)
        except BaseException:
            self._database.close()
            raise

    def put(self, part: Part) -> None:
        """See `ResultTables.put`."""
        with gate(_DOING), self._database.transaction() as cursor:
            jobs = f"DELETE FROM {self._table(JOB_INFO).sql} WHERE chunk = $1 AND run = ANY ($2::text[])"
            cursor.execute(jobs, [part.chunk, list(part.runs)])
            self._drop_told(cursor, part)
            for name, lines in part.tables.items():
                if lines.num_rows:
                    statement = copy_statement(self._table(name), lines.schema.names, as_received=False)
                    copy_in(cursor, statement, blocks=[as_csv(_storable(batch)) for batch in lines.to_batches()])

    def close(self) -> None:
        """See `ResultTables.close`."""
        self._database.close()

    def _drop_told(self, cursor: Cursor, part: Part) -> None:
        """Take out what was told of the same rows before."""
        numbers = part.told_again
        if not numbers:
            return
        for name in (SUCCESS, FAILURE):
            told = 'run = ANY ($1::text[]) AND "row" = ANY ($2::bigint[])'
            cursor.execute(f"DELETE FROM {self._table(name).sql} WHERE {told}", [list(part.instead_of), numbers])

    def _make(self, cursor: Cursor, table: Table, columns: pa.Schema) -> None:
        typed = [f"{quoted(column.name.lower())} {_TYPES[column.type]}" for column in columns]
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(typed)})")
        for column in typed:
            cursor.execute(f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {column}")

    def _table(self, name: str) -> Table:
        return Table(self._schema, name.lower())


def _storable(lines: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pa.array([None if text is None else text.replace("\0", "\ufffd") for text in column.to_pylist()], pa.string())
        if pa.types.is_string(column.type)
        else column
        for column in lines.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=lines.schema)
