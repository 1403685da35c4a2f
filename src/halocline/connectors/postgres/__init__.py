"""PostgreSQL, written to or asked for rows, through a URI or a live psycopg connection."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from halocline.connector import About
from halocline.events import Sink, silent
from halocline.lazy import lazily
from halocline.place import POSTGRES_PORT
from halocline.registry import missing_extra

if TYPE_CHECKING:
    import psycopg

    from halocline.connectors.postgres.destination import PostgresDestination
    from halocline.connectors.postgres.filling import count_of, fill_table
    from halocline.connectors.postgres.once import open_once
    from halocline.connectors.postgres.query import open_query
    from halocline.connectors.postgres.results import PostgresResults
    from halocline.connectors.postgres.snapshot import Snapshot
    from halocline.connectors.postgres.source import open_source
    from halocline.spool import Spool

_HOME = {
    "open_once": "once",
    "open_query": "query",
    "open_source": "source",
    **dict.fromkeys(("count_of", "fill_table"), "filling"),
}

__all__ = [
    "ABOUT",
    "accepts",
    "connect",
    "count_of",
    "fill_table",
    "new_session",
    "open_destination",
    "open_once",
    "open_query",
    "open_results",
    "open_source",
    "place_of",
]

__getattr__ = lazily(__name__, _HOME)

ABOUT = About("PostgreSQL", schemes=("postgresql", "postgres"), example="postgresql://user@host/database", history=True)
_SCHEMES = ("postgresql://", "postgres://")


def accepts(session: object) -> bool:
    """Whether `session` is a psycopg connection or a `postgresql://` URI; looks without loading the driver."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEMES)
    return any(kind.__name__ == "Connection" and kind.__module__.split(".")[0] == "psycopg" for kind in type(session).__mro__)


def place_of(uri: str) -> str:
    """Host, port and database of a URI, however it says them."""
    parts = urlsplit(uri)
    host, _, port = parts.netloc.rpartition("@")[2].partition(":")
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    database = asked.get("dbname", parts.path.removeprefix("/"))
    return f"postgresql://{asked.get('host', host)}:{asked.get('port', port or POSTGRES_PORT)}/{database}"


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


def open_results(session: object, schema: str, *, memory_limit: str | None = None) -> PostgresResults:  # noqa: ARG001 - of an embedded database
    """The tables of what became of pushed rows; see `PostgresResults`."""
    from halocline.connectors.postgres.results import PostgresResults

    return PostgresResults(session, schema)


def connect(
    session: object,
    *,
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
    sink: Sink = silent,  # noqa: ARG001 - every connection is given one; this one has nothing to say
) -> Snapshot:
    """One instant of the database behind `session`, for sources that read it; see `Snapshot`."""
    from halocline.connectors.postgres.snapshot import Snapshot

    return Snapshot(session)


def new_session(**place: object) -> psycopg.Connection[tuple[object, ...]]:
    """A connection whose transactions the caller ends; see `filling.new_session`.

    Raises: MissingExtra when psycopg is not installed.
    """
    try:
        from halocline.connectors.postgres import filling
    except ModuleNotFoundError as error:
        raise missing_extra("postgres", error) from error

    return filling.new_session(**place)
