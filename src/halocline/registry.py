"""Connectors by name, URI or session; a connector's module is imported when it is first used."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Protocol

from halocline.connector import Destination, Source
from halocline.errors import FixConfig, MissingExtra

_MODULES = {"salesforce": "halocline.connectors.salesforce", "duckdb": "halocline.connectors.duckdb"}
_DESTINATIONS = ("duckdb",)
_PLAIN_PATH = re.compile(r"[\w./\\-]*")  # a forgotten scheme; a DSN with a password has blanks, = or @
_EXTRA_OF_DRIVER = {"duckdb": "duckdb", "pytz": "duckdb", "starlette": "emulator", "uvicorn": "emulator"}


def connector(name: str) -> ModuleType:
    """The connector's module.

    Raises: FixConfig for a name we do not have, MissingExtra when its driver is not installed.
    """
    if name not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise FixConfig("Choosing a connector", f"there is none called {name!r}", hint=f"Known are: {known}.")
    try:
        return import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        raise missing_extra(name, error) from error


def missing_extra(wanted: str, error: ModuleNotFoundError) -> MissingExtra:
    """The error for a driver that is not installed, naming the extra that brings it."""
    extra = _EXTRA_OF_DRIVER.get((error.name or "").split(".")[0], wanted)
    hint = f'Install it with: pip install "halocline[{extra}]"'
    return MissingExtra(f"Loading {wanted}", f"the Python package {error.name!r} is not installed", hint=hint)


class Connection(Protocol):
    """A live connection to a source's system, which several sources may share."""

    def close(self) -> None:
        """Let go of it."""


def connect(name: str, connection: object, **options: object) -> Connection:
    """A live connection of the named connector from what describes one; one that is live already is returned as it is."""
    live: Connection = connector(name).connect(connection, **options)
    return live


def open_source(name: str, connection: Connection, **options: object) -> Source:
    """A source of the named connector on a live connection; `options` are that connector's own."""
    source: Source = connector(name).open_source(connection, **options)
    return source


def open_destination(session: object, **options: object) -> Destination:
    """The destination behind a URI (`duckdb:///lake.duckdb`) or a live session (a DuckDB connection).

    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed.
    """
    for name in _DESTINATIONS:
        module = connector(name)
        if module.accepts(session):
            try:
                destination: Destination = module.open_destination(session, **options)
            except ModuleNotFoundError as error:
                raise missing_extra(name, error) from error
            return destination
    raise FixConfig(
        "Opening the destination",
        f"nothing here knows how to write to {_shown(session)}",
        hint="Pass a DuckDB connection, or a URI such as duckdb:///lake.duckdb (three slashes: a path beside you).",
    )


def _shown(session: object) -> str:
    """What a session is, without anything that may be a secret in it."""
    if not isinstance(session, str):
        return type(session).__name__
    scheme, separator, _ = session.partition("://")
    if separator:
        return f"{scheme}://"
    return repr(session) if _PLAIN_PATH.fullmatch(session) else "a text that is no URI"
