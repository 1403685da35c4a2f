"""Snowflake, written to or asked for rows, through a URI, a connection of its connector, or a Snowpark session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.connector import About
from halocline.connectors.snowflake.login import VARIABLES
from halocline.connectors.snowflake.sessions import is_connection, is_session
from halocline.events import Sink, silent
from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.connectors.snowflake.destination import SnowflakeDestination
    from halocline.connectors.snowflake.query import open_query
    from halocline.connectors.snowflake.results import SnowflakeResults
    from halocline.spool import Spool

_HOME = {"open_query": "query"}

__all__ = ["ABOUT", "VARIABLES", "accepts", "open_destination", "open_query", "open_results"]

__getattr__ = lazily(__name__, _HOME)

ABOUT = About("Snowflake", schemes=("snowflake",), example="snowflake://user@account/database", stage=True)
_SCHEME = "snowflake://"


def accepts(session: object) -> bool:
    """Whether `session` is a connector's connection, a Snowpark session or a `snowflake://` URI. No driver is loaded."""
    if isinstance(session, str):
        return session.lower().startswith(_SCHEME)
    return is_connection(session) or is_session(session)


def open_destination(
    session: object,
    *,
    spool: Spool,
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
    read_only: bool = False,  # noqa: ARG001 - looking makes nothing here
    sink: Sink = silent,
) -> SnowflakeDestination:
    """The destination behind `session`; see `SnowflakeDestination`."""
    from halocline.connectors.snowflake.destination import SnowflakeDestination

    return SnowflakeDestination(session, spool=spool, sink=sink)


def open_results(session: object, schema: str, *, memory_limit: str | None = None) -> SnowflakeResults:  # noqa: ARG001 - of an embedded database
    """The tables of what became of pushed rows; see `SnowflakeResults`."""
    from halocline.connectors.snowflake.results import SnowflakeResults

    return SnowflakeResults(session, schema)
