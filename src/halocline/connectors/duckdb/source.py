"""DuckDBSource: a table or a query of a DuckDB as Arrow, of one instant. DuckDB reads on many threads: a read is one part."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON, Batch, Position
from halocline.connector import Part, Plan, Survey, Target
from halocline.connectors.duckdb.client import Cursor, Database, rows
from halocline.connectors.duckdb.described import NAIVE, TOO_LONG, column, schema_of, value_of
from halocline.connectors.duckdb.query import asking, opened
from halocline.connectors.duckdb.tables import find
from halocline.errors import BadQuery, FixConfig, NotFound, SchemaConflict
from halocline.mapping.near import near
from halocline.schema import Column, Kind, Schema
from halocline.snapshot_source import Instant, SnapshotSource, one_key, refuse_twins
from halocline.standard_sql import literal, quoted
from halocline.wanted import wanted

_BATCH_ROWS = 20_000
_NUMBERED = {pa.timestamp("us").id: pa.int64(), pa.date32().id: pa.int32()}
_WAY_OUT = "Read it as text, by a query: SELECT {name}::text ...; or leave out such rows (filter), or the column (exclude)."
_AHEAD = "now() + INTERVAL 15 HOUR"  # a stamp of the far future would hide all that follows; a clock without a zone may be ahead


class Snapshot(Instant):
    """The DuckDB behind a URI or a connection, as it is when it is first looked at; it serves one reader at a time.

    Raises: FixConfig, NotFound for a file that is not there.
    """

    def __init__(self, session: object, *, memory_limit: str | None = None) -> None:
        if isinstance(session, str):
            connection = opened(session, memory_limit=memory_limit)
        elif isinstance(session, Cursor):
            connection = session
        else:
            raise FixConfig("Reading DuckDB", f"got a {type(session).__name__}", hint="Pass a connection or a duckdb: URI.")
        catalog, schema = rows(connection, "SELECT current_database(), current_schema()")[0]
        self.database = Database(connection, str(catalog), str(schema), isinstance(session, str))
        self._alone = threading.RLock()
        self._cursor: Cursor | None = None

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """The one cursor that sees the snapshot, alone."""
        with self._alone:
            if self._cursor is None:
                self._cursor = self.database.connection.cursor()
                self._cursor.execute("SET TimeZone = 'UTC'")
                self._cursor.execute("SET python_enable_replacements = false")  # a name in a query means a table
                self._cursor.execute(f"USE {quoted(self.database.catalog, self.database.schema)}")
                self._cursor.execute("BEGIN TRANSACTION")
            yield self._cursor

    def close(self) -> None:
        """Let go of the snapshot, and of the file where it was opened here. Idempotent."""
        with self._alone:
            if self._cursor is not None:
                self._cursor.close()
                self._cursor = None
                self.database.close()


class DuckDBSource(SnapshotSource[Snapshot]):
    """Reads what is `wanted` of a snapshot. Implements `connector.Source`."""

    _schema: Schema | None = None
    _select = ""

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`.

        Raises: NotFound for a table or column that is not there; BadQuery; FixConfig for a cursor of another type.
        """
        doing, wanted = f"Looking at {self._wanted.name}", self._wanted
        with self._snapshot.cursor() as cursor, asking(doing):
            self._calls += 1
            whole, base = self._described(cursor, doing=doing)
            look = wanted.look(whole, since, can_stamp=_can_stamp, stamp_type="TIMESTAMP WITH TIME ZONE")
            self._schema = look.schema
            conditions = look.conditions(quoted, _literal)
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            values = ", ".join(f"{value_of(one)} AS {quoted(one.name)}" for one in look.schema)
            self._select = f"SELECT {values} FROM {base}{where}"
            told = f"SELECT count(*), strftime(now(), '%Y-%m-%dT%H:%M:%S.%fZ') FROM {base}{where}"
            estimated, now = rows(cursor, told)[0]
            highest = None if look.stamp is None else _highest(cursor, base, look.stamp)
        naive = [one.name for one in look.schema if one.source_type in NAIVE]
        return look.survey(rows=int(str(estimated)), now=str(now), highest=highest, query=self._select, naive=naive)

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002 - a part begins at its beginning
        """The rows, as they are in the snapshot.

        Raises: also SchemaConflict for a day without end, and for a number of more than 38 digits.
        """
        assert self._schema is not None, "a source is surveyed before it is read"
        first, wanted = 0, self._schema.arrow
        with self._snapshot.cursor() as cursor, _reading(f"Reading {self._wanted.name}"):
            for batch in cursor.sql(self._select).to_arrow_reader(_BATCH_ROWS):
                yield Batch(rows=_finite(batch.cast(wanted), what=self._wanted.name), first_row=first)
                first += batch.num_rows
        self._was_read(part, rows=first)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`."""
        assert self._schema is not None, "a source is surveyed before it is read"
        key = one_key(plan)
        with self._snapshot.cursor() as cursor, _reading(f"Reading rows of {plan.object} again"):
            asked = f"SELECT * FROM ({self._select}) WHERE {quoted(key)} IN (SELECT unnest(?))"
            for batch in cursor.sql(asked, params=[list(keys)]).to_arrow_reader(_BATCH_ROWS):
                yield Batch(rows=_finite(batch.cast(self._schema.arrow), what=self._wanted.name))

    def _described(self, cursor: Cursor, *, doing: str) -> tuple[Schema, str]:
        """The columns, and where they come from in SQL."""
        if self._wanted.query is None:
            return self._of_table(cursor, self._wanted.table or "", doing=doing)
        asked = cursor.sql(self._wanted.query)
        if asked is None:
            raise BadQuery(doing, "the statement answers no rows", hint="Pass SQL that answers rows: SELECT ...")
        refuse_twins(asked.columns, doing=doing)
        types = zip(asked.columns, map(str, asked.types), strict=True)
        return Schema(tuple(column(name, kind) for name, kind in types)), self._wanted.subquery

    def _of_table(self, cursor: Cursor, name: str, *, doing: str) -> tuple[Schema, str]:
        schema, dot, table = name.rpartition(".")
        target = Target(schema if dot else None, table)
        known = [f"{s}.{t}" for s, t in rows(cursor, "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal")]
        try:
            found = find(cursor, self._snapshot.database, target=target)
        except FixConfig:  # a view
            base = quoted(*([schema] if dot else []), table)
            asked = cursor.sql(f"SELECT * FROM {base} LIMIT 0")
            kinds = zip(asked.columns, map(str, asked.types), strict=True)
            return Schema(tuple(column(name, kind) for name, kind in kinds)), base
        if not found.exists:
            known += [] if dot else [one.partition(".")[2] for one in known]
            raise NotFound(doing, f"there is no table {name!r}", suggestions=near(name, known))
        return schema_of(cursor, found), found.sql


def open_source(snapshot: Snapshot, *, spool: object = None, **options: object) -> DuckDBSource:  # noqa: ARG001 - nothing is put aside
    """A source on a snapshot; the options are those of `wanted.wanted`.

    Raises: FixConfig for options that cannot be meant.
    """
    return DuckDBSource(snapshot, wanted("DuckDB", **options))  # type: ignore[arg-type]  # checked by the function's own signature


@contextmanager
def _reading(doing: str) -> Iterator[None]:
    """As `asking`, while values come.

    Raises: also SchemaConflict for a number that has no form here.
    """
    with asking(doing):
        try:
            yield
        except duckdb.Error as error:
            _, marked, told = str(error).partition(f"{TOO_LONG} ")
            if not marked:
                raise
            name = told.split("\n\n", maxsplit=1)[0]
            cause = f"a number of {name} has more than 38 digits, which no type here holds exactly"
            raise SchemaConflict(doing, cause, hint=_WAY_OUT.format(name=quoted(name)), column=name) from error


def _finite(rows: pa.RecordBatch, *, what: str) -> pa.RecordBatch:
    """The rows, none of which has a day without end: Arrow has no word for it, and shows it as a year that is far away.

    Raises: SchemaConflict.
    """
    for field, values in zip(rows.schema, rows.columns, strict=True):
        number = _NUMBERED.get(field.type.id)
        if number is not None and pc.any(pc.equal(pc.abs(values.view(number)), 2 ** (number.bit_width - 1) - 1)).as_py():
            cause = f"a value of {field.name} is infinity, which has no form here"
            raise SchemaConflict(f"Reading {what}", cause, hint=_WAY_OUT.format(name=quoted(field.name)), column=field.name)
    return rows


def _can_stamp(column: Column) -> bool:
    return column.kind in (Kind.DATETIME, Kind.DATE)


def _literal(text: str, column: Column) -> str:
    """A text as a value of a column."""
    return f"CAST({literal(text)} AS {column.source_type})"


def _highest(cursor: Cursor, base: str, stamp: Column) -> str | None:
    """The greatest stamp that is believed, as ISO 8601."""
    name = quoted(stamp.name)
    kind = "" if stamp.source_type in NAIVE or stamp.kind is Kind.DATE else "+00:00"
    found = rows(cursor, f"SELECT strftime(max({name}), '%Y-%m-%dT%H:%M:%S.%f{kind}') FROM {base} WHERE {name} <= {_AHEAD}")[0][0]
    return None if found is None else str(found)
