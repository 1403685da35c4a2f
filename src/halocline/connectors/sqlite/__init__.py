"""SQLite, written to or read from: a file, through a `sqlite:` URI or a live connection to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halocline.connector import About
from halocline.events import Sink, silent
from halocline.lazy import lazily
from halocline.place import file_in

if TYPE_CHECKING:
    from halocline.connectors.sqlite.destination import SQLiteDestination
    from halocline.connectors.sqlite.once import open_once
    from halocline.connectors.sqlite.source import Snapshot, open_source
    from halocline.spool import Spool

_HOME = {"open_once": "once", "open_source": "source"}

__all__ = ["ABOUT", "accepts", "connect", "open_destination", "open_once", "open_source", "place_of"]

__getattr__ = lazily(__name__, _HOME)

ABOUT = About("SQLite", schemes=("sqlite",), example="sqlite:///lake.sqlite", schema="main")


def accepts(session: object) -> bool:
    """Whether `session` is a connection of `sqlite3` or a `sqlite:` URI; looks without loading the driver."""
    if isinstance(session, str):
        return session.lower().startswith("sqlite:")
    return any((kind.__name__, kind.__module__) == ("Connection", "sqlite3") for kind in type(session).__mro__)


def place_of(uri: str) -> str:
    """The file of a URI."""
    return f"sqlite:{Path(file_in(uri)).absolute()}"


def open_destination(
    session: object,
    *,
    spool: Spool,
    memory_limit: str | None = None,  # noqa: ARG001 - SQLite keeps little in memory by itself
    read_only: bool = False,
    sink: Sink = silent,  # noqa: ARG001 - every destination is given one; this one has nothing to say
) -> SQLiteDestination:
    """The destination behind `session`; see `SQLiteDestination`."""
    from halocline.connectors.sqlite.destination import SQLiteDestination

    return SQLiteDestination(session, spool=spool, read_only=read_only)


def connect(
    session: object,
    *,
    memory_limit: str | None = None,  # noqa: ARG001 - SQLite keeps little in memory by itself
    sink: Sink = silent,  # noqa: ARG001 - every connection is given one; this one has nothing to say
) -> Snapshot:
    """One instant of the file behind `session`, for sources that read it; see `Snapshot`."""
    from halocline.connectors.sqlite.source import Snapshot

    return Snapshot(session)
