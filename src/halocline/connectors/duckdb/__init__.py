"""DuckDB, written to or asked for rows: a file or the memory of this process, through a path, a URI or a live connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from halocline.errors import FixConfig
from halocline.events import Sink, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.connectors.duckdb.destination import DuckDBDestination
    from halocline.connectors.duckdb.results import DuckDBResults
    from halocline.spool import Spool

__all__ = ["accepts", "open_destination", "open_query", "open_results"]

_SCHEME = "duckdb:"
_NOWHERE = ":memory:"
_DRIVER = {"duckdb", "_duckdb"}  # a connection's class lives in the compiled module, `_duckdb` since DuckDB 1.4


def accepts(session: object) -> bool:
    """Whether `session` is a DuckDB connection or a `duckdb:` URI; looks without loading the driver."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEME)
    kind = type(session)
    return kind.__name__ == "DuckDBPyConnection" and kind.__module__.split(".")[0] in _DRIVER


def open_destination(
    session: object,
    *,
    spool: Spool,
    memory_limit: str | None = None,
    threads: int | None = None,
    read_only: bool = False,
    sink: Sink = silent,  # noqa: ARG001 - every destination is given one; this one has nothing to say
) -> DuckDBDestination:
    """The destination behind `session`; the options are those of `DuckDBDestination`.

    Raises: FixConfig for a URI that names no file: nothing would be left of the rows.
    """
    from halocline.connectors.duckdb.destination import DuckDBDestination

    if isinstance(session, str) and session.endswith(_NOWHERE):
        raise FixConfig(
            "Opening the destination",
            f"{session} names a database that is gone when the sync ends",
            hint="Name a file, or pass a DuckDB connection of yours, which may well be in memory.",
        )
    return DuckDBDestination(session, spool=spool, memory_limit=memory_limit, threads=threads, read_only=read_only)


def open_query(
    session: object,
    sql: str,
    *,
    parameters: Sequence[object] | Mapping[str, object] = (),
    memory_limit: str | None = None,
) -> pa.RecordBatchReader:
    """The rows that a query answers, as they come; see `query.open_query`."""
    from halocline.connectors.duckdb import query

    return query.open_query(session, sql, parameters=parameters, memory_limit=memory_limit)


def open_results(session: object, schema: str, *, memory_limit: str | None = None) -> DuckDBResults:
    """The tables of what became of pushed rows; see `DuckDBResults`."""
    from halocline.connectors.duckdb.results import DuckDBResults

    return DuckDBResults(session, schema, memory_limit=memory_limit)
