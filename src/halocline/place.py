"""Place: which database a URI or a live connection leads to, as a text without user and password."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from halocline import registry
from halocline.config import resolved
from halocline.errors import FixConfig

POSTGRES_PORT = "5432"
_TOKEN = uuid.uuid4().hex[:8]  # two containers may have one host name, and each a process of this number


def place_of(session: object) -> str:
    """One text for each database, the same in every process that can reach it; what no other process can reach has its own."""
    session = resolved(session)
    if isinstance(session, str):
        return _of_uri(session)
    info = getattr(session, "info", None)  # a psycopg connection tells where it leads
    if getattr(info, "dbname", None):
        return f"postgresql://{getattr(info, 'host', '')}:{getattr(info, 'port', POSTGRES_PORT)}/{info.dbname}"  # type: ignore[union-attr]
    known = getattr(session, "connection", session)  # so does one of Snowflake; a Snowpark session has one
    account, database = getattr(known, "account", None), getattr(known, "database", None)
    if account and database:
        return f"snowflake://{account}/{database}/{getattr(known, 'schema', None) or ''}"
    return of_this_process(f"{type(session).__name__} {id(session):x}")


def schema_in(uri: str, schema: str | None) -> str | None:
    """The schema that was asked for; without any, a server's search path decides, and a file's is `main`."""
    known = registry.about(uri) if schema is None else None
    return schema if known is None else known.schema


def stage_in(uri: str, stage_name: str | None) -> str | None:
    """The stage that was asked for.

    Raises: FixConfig where the connector of that URI has no stages, so that it would be named in vain.
    """
    known = None if stage_name is None else registry.about(uri)
    if known is None or known.stage:
        return stage_name
    able = " and ".join(about.title for about in registry.abouts("open_destination") if about.stage)
    hint = f"Leave --stage-name (stage_name) out: stages that can be named are {able}'s."
    raise FixConfig("Choosing the stage", f"{stage_name!r} is named, and {known.title} has no stages", hint=hint)


def within(flow: str, place: str) -> str:
    """The name of a flow into a place, which tells it from the same flow into others."""
    return f"{flow} in {place}" if place else flow


def file_in(uri: str) -> str:
    """The path in the URI of a database in a file: after three slashes a relative one, after four an absolute one."""
    return urlsplit(uri).path.removeprefix("/")


def can_be_made(file: Path) -> bool:
    """Whether a file that is not there can surely be made: its folder is there, and takes one."""
    return os.access(file.absolute().parent, os.W_OK | os.X_OK)


def of_this_process(name: str) -> str:
    """The place of what no other process can reach."""
    return f"{name} of process {os.getpid()} of {socket.gethostname()} ({_TOKEN})"


def _of_uri(uri: str) -> str:
    parts = urlsplit(uri)
    if not _is_legible(parts):
        return f"{parts.scheme.lower()}://"
    known = registry.known_place(uri)
    if known is not None:
        return known
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_legible(parts: SplitResult) -> bool:
    """Whether host and port are what they seem, and no piece of a password that was not quoted, or stands at the wrong place."""
    ports = (one.rpartition("]")[2].partition(":")[2] for one in parts.netloc.rpartition("@")[2].split(","))
    is_login_whole = not ("@" in parts.netloc and "@" in parts.path)
    return bool(parts.scheme) and is_login_whole and all(port.isdecimal() or not port for port in ports)
