"""Place: which database a URI or a live connection leads to, as a text without user and password."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from halocline.config import resolved

_PORT = "5432"
_MEMORY = {"", ":memory:"}


def place_of(session: object) -> str:
    """One text for each database, the same in every process that can reach it; what no other process can reach has its own."""
    session = resolved(session)
    if isinstance(session, str):
        return _of_uri(session)
    info = getattr(session, "info", None)  # a psycopg connection tells where it leads
    if getattr(info, "dbname", None):
        return f"postgresql://{getattr(info, 'host', '')}:{getattr(info, 'port', _PORT)}/{info.dbname}"  # type: ignore[union-attr]
    known = getattr(session, "connection", session)  # so does one of Snowflake; a Snowpark session has one
    account, database = getattr(known, "account", None), getattr(known, "database", None)
    if account and database:
        return f"snowflake://{account}/{database}/{getattr(known, 'schema', None) or ''}"
    return _own(f"{type(session).__name__} {id(session):x}")


def schema_in(uri: str, schema: str | None) -> str | None:
    """The schema that was asked for; without any, a server's search path decides, and a file's is `main`."""
    return "main" if schema is None and str(resolved(uri)).lower().startswith("duckdb:") else schema


def within(flow: str, place: str) -> str:
    """The name of a flow into a place, which tells it from the same flow into others."""
    return f"{flow} in {place}" if place else flow


def _of_uri(uri: str) -> str:
    parts = urlsplit(uri)
    scheme, server = parts.scheme.lower(), parts.netloc.rpartition("@")[2]
    if scheme == "duckdb":
        path = parts.path.removeprefix("/")
        return _own("duckdb in memory") if path in _MEMORY else f"duckdb:{Path(path).absolute()}"
    if scheme == "file":
        return f"file:{Path(unquote(parts.path)).expanduser().absolute()}"
    if scheme in {"postgres", "postgresql"}:
        host, _, port = server.partition(":")
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        database = asked.get("dbname", parts.path.removeprefix("/"))
        return f"postgresql://{asked.get('host', host)}:{asked.get('port', port or _PORT)}/{database}"
    return f"{scheme}://{server}{parts.path}"


def _own(name: str) -> str:
    return f"{name} of process {os.getpid()} of {socket.gethostname()}"
