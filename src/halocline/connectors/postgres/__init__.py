"""PostgreSQL, written to or asked for rows, through a URI or a live psycopg connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from halocline.events import Sink, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.connectors.postgres.destination import PostgresDestination
    from halocline.connectors.postgres.results import PostgresResults
    from halocline.spool import Spool

__all__ = ["accepts", "open_destination", "open_query", "open_results"]

_SCHEMES = ("postgresql://", "postgres://")


def accepts(session: object) -> bool:
    """Whether `session` is a psycopg connection or a `postgresql://` URI; looks without loading the driver."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEMES)
    return any(kind.__name__ == "Connection" and kind.__module__.split(".")[0] == "psycopg" for kind in type(session).__mro__)


def open_destination(
    session: object,
    *,
    spool: Spool,  # noqa: ARG001 - every destination is given one; rows are put aside in the database itself
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
    read_only: bool = False,  # noqa: ARG001 - looking makes nothing here
    sink: Sink = silent,
) -> PostgresDestination:
    """The destination behind `session`; see `PostgresDestination`."""
    from halocline.connectors.postgres.destination import PostgresDestination

    return PostgresDestination(session, sink=sink)


def open_query(
    session: object,
    sql: str,
    *,
    parameters: Sequence[object] | Mapping[str, object] = (),
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
) -> pa.RecordBatchReader:
    """The rows that a query answers, as they come; see `query.open_query`."""
    from halocline.connectors.postgres import query

    return query.open_query(session, sql, parameters=parameters)


def open_results(
    session: object,
    schema: str,
    *,
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
) -> PostgresResults:
    """The tables of what became of pushed rows; see `PostgresResults`."""
    from halocline.connectors.postgres.results import PostgresResults

    return PostgresResults(session, schema)
