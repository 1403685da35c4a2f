"""SQLiteSource: a table, a view or a query of a file as Arrow, of one instant. A read is one part.

What is read, and with a `cursor` what later reads take, is as `halocline.wanted` says.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial

from halocline.batch import JSON, Batch, Position
from halocline.connector import Part, Plan, Survey, Target
from halocline.connectors.sqlite.client import Database, path_of
from halocline.connectors.sqlite.comparison import KEYS_AT_ONCE, among, compared_in, literal_as, only
from halocline.connectors.sqlite.errors import asking
from halocline.connectors.sqlite.reading import answers
from halocline.connectors.sqlite.tables import columns_of, name_of
from halocline.errors import NotFound
from halocline.mapping.near import near
from halocline.schema import Column, Kind, Schema
from halocline.snapshot_source import Instant, SnapshotSource, one_key, refuse_twins
from halocline.standard_sql import quoted
from halocline.wanted import wanted

_AHEAD = "julianday('now', '+15 hours')"  # a stamp of the far future would hide all that follows; a clock may be ahead
_ISO = "%Y-%m-%dT%H:%M:%fZ"
_QUERY = "_halocline_query"
_MOMENTS = {Kind.DATETIME, Kind.DATE}
_KINDS = {
    frozenset({"integer"}): Kind.INTEGER,
    frozenset({"real"}): Kind.DOUBLE,
    frozenset({"integer", "real"}): Kind.DOUBLE,
    frozenset({"blob"}): Kind.BINARY,
}


class Snapshot(Instant):
    """The file behind a URI or a connection, as it is when it is first looked at; it serves one reader at a time.

    Who writes to the file meanwhile waits, unless it keeps a write-ahead log (`PRAGMA journal_mode = WAL`).
    Source: "Write-Ahead Logging", https://sqlite.org/wal.html, read November 2026.
    Raises: FixConfig, NotFound for a file that is not there.
    """

    def __init__(self, session: object) -> None:
        self.database = existing(session)
        self._alone = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The one connection that sees the snapshot, alone."""
        with self._alone:
            if self._connection is None:
                self._connection = self.database.connect()
                self._connection.execute("BEGIN")
            yield self._connection

    def close(self) -> None:
        """Let go of the snapshot. Idempotent."""
        with self._alone:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class SQLiteSource(SnapshotSource[Snapshot]):
    """Reads what is `wanted` of a snapshot. Implements `connector.Source`."""

    _schema: Schema | None = None
    _select = ""

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`.

        Raises: NotFound for a table or column that is not there; BadQuery; FixConfig for a cursor of another type.
        """
        doing, wanted = f"Looking at {self._wanted.name}", self._wanted
        with self._snapshot.connection() as connection, asking(doing):
            self._calls += 1
            whole, base = self._described(connection, doing=doing)
            look = wanted.look(whole, since, can_stamp=_can_stamp, stamp_type="DATETIME")
            self._schema = look.schema
            conditions = look.conditions(partial(compared_in, whole), literal_as)
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            self._select = f"SELECT {', '.join(map(quoted, look.schema.names))} FROM {base}{where}"
            told = f"SELECT count(*), strftime('{_ISO}', 'now') FROM {base}{where}"
            ((estimated, now),) = connection.execute(told).fetchall()
            highest = None if look.stamp is None else _highest(connection, base, look.stamp)
        return look.survey(rows=int(estimated), now=str(now), highest=highest, query=self._select, naive=())

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002 - a part begins at its beginning
        """The rows, as they are in the snapshot."""
        assert self._schema is not None, "a source is surveyed before it is read"
        first = 0
        with self._snapshot.connection() as connection, asking(f"Reading {self._wanted.name}"):
            for rows in answers(connection, self._select, schema=self._schema):
                yield Batch(rows=rows, first_row=first)
                first += rows.num_rows
        self._was_read(part, rows=first)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`."""
        assert self._schema is not None, "a source is surveyed before it is read"
        key = one_key(plan)
        column = self._schema.column(key)
        assert column is not None, "who plans a key found it there"
        with self._snapshot.connection() as connection, asking(f"Reading rows of {plan.object} again"):
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                condition, values = among(column, some)
                sql = f"SELECT * FROM ({self._select}) WHERE {condition}"
                for rows in answers(connection, sql, schema=self._schema, values=values):
                    yield Batch(rows=only(rows, column, keys=some))

    def _described(self, connection: sqlite3.Connection, *, doing: str) -> tuple[Schema, str]:
        """The columns, and where they come from in SQL."""
        if self._wanted.query is not None:
            query, base = self._wanted.query.rstrip().rstrip(";"), self._wanted.subquery
            return _told_by_values(connection, _columns_of_query(connection, query, base=base, doing=doing), base), base
        schema, dot, table = (self._wanted.table or "").rpartition(".")
        name = name_of(Target(schema if dot else None, table))
        found = columns_of(connection, name)
        if not found.columns:
            known = connection.execute("SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view')").fetchall()
            raise NotFound(doing, f"there is no table {name!r}", suggestions=near(name, [str(one) for (one,) in known]))
        return _told_by_values(connection, found, f"main.{quoted(name)}"), f"main.{quoted(name)}"


def open_source(snapshot: Snapshot, *, spool: object = None, **options: object) -> SQLiteSource:  # noqa: ARG001 - nothing is put aside
    """A source on a snapshot; the options are those of `wanted.wanted`.

    Raises: FixConfig for options that cannot be meant.
    """
    return SQLiteSource(snapshot, wanted("SQLite", **options))  # type: ignore[arg-type]  # checked by the function's own signature


def existing(session: object) -> Database:
    """The file behind a URI or a connection, for reading only.

    Raises: NotFound for a file that is not there; FixConfig.
    """
    path = path_of(session)
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = "An absolute path takes four slashes: sqlite:////data/lake.sqlite."
        doing = f"Opening the SQLite file {path}"
        raise NotFound(doing, "there is no such file", suggestions=near(path.name, beside), hint=hint)
    return Database(path, read_only=True)


def _columns_of_query(connection: sqlite3.Connection, query: str, *, base: str, doing: str) -> Schema:
    """The columns that a query answers, with the types that they have in their tables: SQLite tells them of a view."""
    connection.execute(f"SELECT * FROM {base} LIMIT 0")  # what is no SELECT is refused here
    with closing(connection.execute(query)) as asked:  # in a query around it, SQLite would give the second another name
        names = [str(told[0]).lower() for told in asked.description]
    refuse_twins(names, doing=doing)
    connection.execute(f"CREATE TEMP VIEW {_QUERY} AS SELECT * FROM {base}")
    described = columns_of(connection, _QUERY)
    connection.execute(f"DROP VIEW temp.{_QUERY}")
    return described


def _told_by_values(connection: sqlite3.Connection, schema: Schema, base: str) -> Schema:
    """The schema, where columns that have no type, such as computed ones, have that of all of their values."""
    untold = [column for column in schema if not column.source_type]
    if not untold:
        return schema
    asked = ", ".join(f"group_concat(DISTINCT typeof({quoted(column.name)}))" for column in untold)
    (answer,) = connection.execute(f"SELECT {asked} FROM {base}").fetchall()
    found = {column.name: _KINDS.get(_types(told), Kind.STRING) for column, told in zip(untold, answer, strict=True)}
    return Schema(tuple(replace(column, kind=found.get(column.name, column.kind)) for column in schema), schema.key)


def _types(told: str | None) -> frozenset[str]:
    return frozenset((told or "").split(",")) - {"null"}


def _can_stamp(column: Column) -> bool:
    return column.kind in _MOMENTS


def _highest(connection: sqlite3.Connection, base: str, stamp: Column) -> str | None:
    """The greatest stamp that is believed, as ISO 8601."""
    day = f"julianday({quoted(stamp.name)})"
    ((found,),) = connection.execute(f"SELECT strftime('{_ISO}', max({day})) FROM {base} WHERE {day} <= {_AHEAD}").fetchall()
    return None if found is None else str(found)
