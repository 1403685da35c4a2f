"""DuckDB, written to or asked for rows: a file or the memory of this process, through a path, a URI or a live connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halocline.connector import About
from halocline.errors import FixConfig
from halocline.events import Sink, silent
from halocline.lazy import lazily
from halocline.place import file_in, of_this_process

if TYPE_CHECKING:
    from halocline.connectors.duckdb.destination import DuckDBDestination
    from halocline.connectors.duckdb.files import files_named
    from halocline.connectors.duckdb.once import open_once
    from halocline.connectors.duckdb.query import open_query
    from halocline.connectors.duckdb.results import DuckDBResults
    from halocline.connectors.duckdb.source import Snapshot, open_source
    from halocline.spool import Spool

_HOME = {"files_named": "files", "open_once": "once", "open_query": "query", "open_source": "source"}

__all__ = [
    "ABOUT",
    "accepts",
    "connect",
    "files_named",
    "open_destination",
    "open_once",
    "open_query",
    "open_results",
    "open_source",
    "place_of",
]

__getattr__ = lazily(__name__, _HOME)

ABOUT = About("DuckDB", schemes=("duckdb",), example="duckdb:///lake.duckdb", schema="main", history=True)
_SCHEME = "duckdb:"
_NOWHERE = ":memory:"
_DRIVER = {"duckdb", "_duckdb"}  # a connection's class lives in the compiled module, `_duckdb` since DuckDB 1.4


def accepts(session: object) -> bool:
    """Whether `session` is a DuckDB connection or a `duckdb:` URI; looks without loading the driver."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEME)
    kind = type(session)
    return kind.__name__ == "DuckDBPyConnection" and kind.__module__.split(".")[0] in _DRIVER


def place_of(uri: str) -> str:
    """The file of a URI; one database in memory is not another."""
    path = file_in(uri)
    return of_this_process("duckdb in memory") if path in {"", _NOWHERE} else f"duckdb:{Path(path).absolute()}"


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


def open_results(session: object, schema: str, *, memory_limit: str | None = None) -> DuckDBResults:
    """The tables of what became of pushed rows; see `DuckDBResults`."""
    from halocline.connectors.duckdb.results import DuckDBResults

    return DuckDBResults(session, schema, memory_limit=memory_limit)


def connect(
    session: object,
    *,
    memory_limit: str | None = None,
    sink: Sink = silent,  # noqa: ARG001 - every connection is given one; this one has nothing to say
) -> Snapshot:
    """One instant of the database behind `session`, for sources that read it; see `Snapshot`."""
    from halocline.connectors.duckdb.source import Snapshot

    return Snapshot(session, memory_limit=memory_limit)
