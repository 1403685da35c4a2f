"""Connectors by name, URI or session; a connector's module is imported when it is first used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from halocline.config import resolved
from halocline.connector import Destination, ObjectChoice, Source
from halocline.errors import FixConfig, MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.buckets import Buckets
    from halocline.halt import Halt
    from halocline.push.destination import RowDestination
    from halocline.push.tables import ResultTables
    from halocline.queues import Queue

_MODULES = {
    "salesforce": "halocline.connectors.salesforce",
    "duckdb": "halocline.connectors.duckdb",
    "postgres": "halocline.connectors.postgres",
    "snowflake": "halocline.connectors.snowflake",
    "files": "halocline.connectors.files",
    "aws": "halocline.connectors.aws",
}
_DESTINATIONS = ("duckdb", "postgres", "snowflake", "files")
_QUERIED = ("duckdb", "postgres", "snowflake")
_TAKES_ROWS = ("salesforce",)
_SECRETS = {"aws-sm": "aws"}
_PLAIN_PATH = re.compile(r"[\w./\\-]*")  # a forgotten scheme; a DSN with a password has blanks, = or @
_EXTRA_OF_DRIVER = {
    "duckdb": "duckdb",
    "pytz": "duckdb",
    "psycopg": "postgres",
    "snowflake": "snowflake",
    "boto3": "aws",
    "botocore": "aws",
    "starlette": "emulator",
    "uvicorn": "emulator",
}
_URIS = (
    "or a URI such as duckdb:///lake.duckdb (three slashes: a path beside you), postgresql://user@host/database"
    " or file:///folder."
)


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

    def view(self, *, halt: Halt | None = None) -> Connection:
        """The same connection for one of its users, whose calls and waits end when `halt` is called. It need not be closed."""

    def close(self) -> None:
        """Let go of it."""


def connect(name: str, connection: object, **options: object) -> Connection:
    """A live connection of the named connector from what describes one; one that is live already is returned as it is."""
    live: Connection = connector(name).connect(connection, **options)
    return live


def login(name: str, environ: Mapping[str, str] | None = None) -> object:
    """What the named connector can log in with, from variables that say so (None: those of this process).

    Raises: FixConfig saying what is missing.
    """
    found: object = connector(name).from_env(environ)
    return found


def look(name: str, connection: Connection) -> str:
    """What the named connector's system says of itself, in a few words, at the price of one call."""
    return str(connector(name).look(connection))


def choose_objects(name: str, connection: Connection, *, names: Sequence[str], **options: object) -> ObjectChoice:
    """The objects that names and patterns stand for; `options` are the named connector's own (`exclude`, `everything`)."""
    choice: ObjectChoice = connector(name).choose_objects(connection, names, **options)
    return choice


def object_of(name: str, query: str) -> str:
    """The object that a query in the named connector's language reads."""
    return str(connector(name).object_of(query))


def open_source(name: str, connection: Connection, **options: object) -> Source:
    """A source of the named connector on a live connection; `options` are that connector's own."""
    source: Source = connector(name).open_source(connection, **options)
    return source


def open_destination(session: object, **options: object) -> Destination:
    """The destination behind a URI (`duckdb:///lake.duckdb`, `postgresql://host/db`) or a live session (a connection).

    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed.
    """
    meant = resolved(session)
    for name in _DESTINATIONS:
        module = connector(name)
        if module.accepts(meant):
            try:
                destination: Destination = module.open_destination(meant, **options)
            except ModuleNotFoundError as error:
                raise missing_extra(name, error) from error
            return destination
    raise FixConfig(
        "Opening the destination",
        f"nothing here knows how to write to {_shown(session)}",
        hint=f"Pass a DuckDB or psycopg connection, {_URIS}",
    )


def open_rows(session: object, **options: object) -> RowDestination:
    """The system that takes rows one by one behind a live session: a SalesforceClient (it stays the caller's to close), a
    session, an authenticator, or a dict with `access_token` and `instance_url`.

    Raises: FixConfig when no connector knows it.
    """
    for name in _TAKES_ROWS:
        module = connector(name)
        if module.accepts_rows(session):
            destination: RowDestination = module.open_rows(session, **options)
            return destination
    raise FixConfig(
        "Opening the destination",
        f"nothing here knows how to push rows to {_shown(session)}",
        hint="Pass a SalesforceClient, an authenticator, or a dict with access_token and instance_url.",
    )


def can_query(session: object) -> bool:
    """Whether `open_query` knows this connection or URI; no driver is loaded."""
    meant = resolved(session)
    return any(connector(name).accepts(meant) for name in _QUERIED)


def open_query(
    session: object, sql: str, *, parameters: Sequence[object] | Mapping[str, object] = (), **options: object
) -> pa.RecordBatchReader:
    """The rows that the database behind a URI (`duckdb:///lake.duckdb`) or a live connection answers, as a stream.

    A file is opened for reading only. `options` are those that every connector takes: `memory_limit`.
    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed; as the connector's own.
    """
    meant = resolved(session)
    for name in _QUERIED:
        module = connector(name)
        if module.accepts(meant):
            try:
                reader: pa.RecordBatchReader = module.open_query(meant, sql, parameters=parameters, **options)
            except ModuleNotFoundError as error:
                raise missing_extra(name, error) from error
            return reader
    raise FixConfig(
        "Opening the database",
        f"nothing here knows how to query {_shown(session)}",
        hint=f"Pass a connection, {_URIS}",
    )


def open_results(session: object, schema: str, **options: object) -> ResultTables:
    """The tables of what became of pushed rows, in `schema` of the database behind a URI or a live connection.

    `options` are those that every connector takes: `memory_limit`.
    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed; as the connector's own.
    """
    meant = resolved(session)
    for name in _QUERIED:
        module = connector(name)
        if module.accepts(meant):
            try:
                results: ResultTables = module.open_results(meant, schema, **options)
            except ModuleNotFoundError as error:
                raise missing_extra(name, error) from error
            return results
    raise FixConfig(
        "Opening the result tables",
        f"nothing here knows how to write tables to {_shown(session)}",
        hint=f"Pass a DuckDB or psycopg connection, {_URIS}",
    )


def open_buckets(**settings: object) -> Buckets:
    """The buckets that a login to AWS reaches: `region`, `profile`, `role`, `endpoint`, ...; what is left out, boto3 finds.

    Raises: FixConfig for settings that cannot be meant, MissingExtra when boto3 is not installed.
    """
    buckets: Buckets = connector("aws").open_buckets(**settings)
    return buckets


def open_queue(place: str, **settings: object) -> Queue:
    """The queue of that name or URL; `settings` as of `open_buckets`, and `offload`, the bucket for large messages.

    Raises: as `open_buckets`; NotFound where there is no queue of that name.
    """
    queue: Queue = connector("aws").open_queue(place, **settings)
    return queue


def secret_of(kind: str, reference: str) -> str:
    """The secret behind a reference to a keeper of secrets: `aws-sm` with `name#key`.

    Raises: NotFound for a secret or key that is not there, FixConfig, AccessDenied; MissingExtra when boto3 is not installed.
    """
    return str(connector(_SECRETS[kind]).secret_of(reference))


def _shown(session: object) -> str:
    """What a session is, without anything that may be a secret in it."""
    if not isinstance(session, str):
        return type(session).__name__
    scheme, separator, _ = session.partition("://")
    if separator:
        return f"{scheme}://"
    return repr(session) if _PLAIN_PATH.fullmatch(session) else "a text that is no URI"
