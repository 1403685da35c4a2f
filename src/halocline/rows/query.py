"""Query: rows that a database answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from halocline import registry
from halocline.errors import BadQuery, FixConfig, NetworkFailed
from halocline.rows.columns import spooled
from halocline.rows.drawn import drawn
from halocline.rows.rows import DICT_ROWS, Rows

_DOING = "Querying the database"
_SHOWN = 500  # characters of the database's own message


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a database, asked once, when its rows are wanted.

    `connection` is a DuckDB or psycopg connection, or a URI (`duckdb:///lake.duckdb`, `postgresql://host/db`) that is opened for
    reading only, a connection or a cursor of any DB-API 2 driver (sqlite3, psycopg2, ADBC, ...), or a function that makes one,
    such as that of a named cursor of psycopg2, which keeps the result on the server. Connections stay open; what their
    transactions are is left to their owner.
    Raises: FixConfig for SQL that is no text.
    """

    connection: object
    sql: str
    parameters: Sequence[object] | Mapping[str, object] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.sql, str):
            raise FixConfig(_DOING, f"the query is a {type(self.sql).__name__}", hint="Pass SQL as a text: SELECT ...")

    @property
    def name(self) -> str:
        """What the rows are called: the driver or the file, and a digest of the SQL (not of the parameters)."""
        digest = hashlib.blake2b(self.sql.encode(), digest_size=4).hexdigest()
        if isinstance(self.connection, str):
            scheme, _, rest = self.connection.partition(":")
            name = PurePosixPath(rest.partition("?")[0]).name.rpartition("@")[2]  # a URI without a database ends in its login
            return f"{scheme}:{name}:{digest}"
        driver = "query" if _is_factory(self.connection) else type(self.connection).__module__.partition(".")[0].lstrip("_")
        return f"{driver}:{digest}"


def query_rows(query: Query, folder: Path, *, name: str | None = None, memory_limit: str | None = None) -> Rows:
    """The rows that the database answers, all of them read now, in the order in which they come.

    `memory_limit` is that of an embedded database that is opened here.
    Raises: BadQuery with the database's own message; NotFound for a database file that is not there; NetworkFailed; FixConfig.
    """
    name = name or query.name
    if not query.sql.strip():
        raise FixConfig(_DOING, "the query is empty", hint="Pass SQL that answers rows: SELECT ...")
    if isinstance(query.connection, str) or registry.can_query(query.connection):
        reader = registry.open_query(query.connection, query.sql, parameters=query.parameters, memory_limit=memory_limit)
        return spooled(reader, reader.schema, folder=folder, name=name)
    with _executed(query) as cursor:
        if hasattr(cursor, "fetch_record_batch"):
            with _translated():
                reader = cursor.fetch_record_batch()
            return spooled(_guarded(reader), reader.schema, folder=folder, name=name)
        return drawn(_dicts(cursor), folder, name=name)


@contextmanager
def _executed(query: Query) -> Iterator[Any]:
    """A cursor that has run the query; closed afterwards unless it is the caller's own."""
    given: Any = query.connection() if callable(query.connection) and _is_factory(query.connection) else query.connection
    if not (hasattr(given, "cursor") or hasattr(given, "execute")):
        hint = "Pass a URI such as duckdb:///lake.duckdb, a connection, or a function that makes a cursor."
        raise FixConfig(_DOING, f"a value of the type {type(given).__name__} is no connection to a database", hint=hint)
    with _translated():
        cursor = given.cursor() if hasattr(given, "cursor") else given
    try:
        with _translated():
            cursor.execute(query.sql, query.parameters) if query.parameters else cursor.execute(query.sql)
        yield cursor
    except BaseException:
        if cursor is not query.connection:
            with suppress(Exception):  # a cursor on the server may refuse to be closed once its query has failed
                cursor.close()
        raise
    if cursor is not query.connection:
        cursor.close()


def _is_factory(given: object) -> bool:
    return callable(given) and not hasattr(given, "cursor") and not hasattr(given, "execute")


def _dicts(cursor: Any) -> Iterator[dict[str, object]]:
    """The rows under the names of their columns. A cursor that waits on the server knows the names once it has fetched."""
    with _translated():
        rows = cursor.fetchmany(DICT_ROWS) if cursor.description or _is_waiting(cursor) else []
    if not cursor.description:
        raise BadQuery(_DOING, "the statement answers no rows", hint="Pass SQL that answers rows: SELECT ...")
    names = [str(column[0]) for column in cursor.description]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise FixConfig(_DOING, f"several columns are called {twice!r}", hint="Give each column a name of its own (AS).")
    while rows:
        for row in rows:
            values = row.values() if isinstance(row, Mapping) else row
            yield {name: _value(value) for name, value in zip(names, values, strict=True)}
        with _translated():
            rows = cursor.fetchmany(DICT_ROWS)


def _is_waiting(cursor: Any) -> bool:
    """Whether it is a named cursor of psycopg2, which describes nothing before the first rows have come."""
    return bool(getattr(cursor, "name", None))


def _value(value: object) -> object:
    """psycopg2 answers bytes as a view of its own memory, which is gone with the cursor."""
    return bytes(value) if isinstance(value, memoryview) else value


def _guarded(reader: Any) -> Iterator[Any]:
    with _translated():
        yield from reader


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what a driver raises into an error of ours.

    Drivers have no class of errors in common, only names: an OperationalError is the server's, and comes of no fault in the
    query, but in SQLite, which calls every error of a query so. Source: PEP 249, "Exceptions".
    """
    try:
        yield
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]
        kinds = {kind.__name__: kind.__module__ for kind in type(error).__mro__}
        if kinds.get("OperationalError", "sqlite3") != "sqlite3":
            raise NetworkFailed(_DOING, words, hint="Nothing was sent; look whether the database answers.") from error
        raise BadQuery(_DOING, words, hint="Nothing was written; correct the query and run it again.") from error
