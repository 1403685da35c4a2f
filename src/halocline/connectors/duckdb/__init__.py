"""DuckDB, as a destination: a file or the memory of this process, through a path, a URI or a live connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.errors import FixConfig

if TYPE_CHECKING:
    from halocline.connectors.duckdb.destination import DuckDBDestination
    from halocline.spool import Spool

__all__ = ["accepts", "open_destination"]

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
    session: object, *, spool: Spool, memory_limit: str | None = None, threads: int | None = None, read_only: bool = False
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
