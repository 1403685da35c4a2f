"""Connectors by name, URI or session. A folder of `halocline.connectors` is one: what its package has in `__all__`, it can do.

No driver is loaded to find out which connector knows a URI or a session; `docs/how-to/add-a-connector.md` tells what one says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from halocline.config import resolved
from halocline.connector import About, Destination, ObjectChoice, Source
from halocline.errors import FixConfig, MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.buckets import Buckets
    from halocline.halt import Halt
    from halocline.idempotency import IdempotencyStore
    from halocline.pointers import Follows
    from halocline.push.destination import RowDestination
    from halocline.push.tables import ResultTables
    from halocline.queues import Queue
    from halocline.subscriptions import Subscriptions
    from halocline.topics import SignatureCheck, Topic

_FOLDER = "halocline.connectors"
_DEEPER = {"dynamodb": "aws.dynamodb"}  # connectors in the folder of another
_TAKES_ROWS = ("salesforce",)
_CLAIMED = {"redis": ("redis", "rediss", "valkey", "valkeys"), "aws": ("dynamodb",)}
_SECRETS = {"aws-sm": "aws"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")  # what stands before :// in JSON may be a password; Source: RFC 3986, 3.1
_PLAIN_PATH = re.compile(r"[\w./\\-]*")  # a forgotten scheme; a DSN with a password has blanks, = or @
_EXTRA_OF_DRIVER = {
    "duckdb": "duckdb",
    "pytz": "duckdb",
    "psycopg": "postgres",
    "snowflake": "snowflake",
    "opentelemetry": "otel",
    "boto3": "aws",
    "botocore": "aws",
    "redis": "redis",
    "starlette": "emulator",
    "uvicorn": "emulator",
}


def connector(name: str) -> ModuleType:
    """The connector's module.

    Raises: FixConfig for a name we do not have, MissingExtra when its driver is not installed.
    """
    known = names()
    if name not in known:
        hint = f"Known are: {', '.join(sorted(known))}."
        raise FixConfig("Choosing a connector", f"there is none called {name!r}", hint=hint)
    return _loaded(name)


def names() -> tuple[str, ...]:
    """The names of all connectors."""
    return (*_packages(tuple(import_module(_FOLDER).__path__)), *_DEEPER)


@cache
def _packages(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Looked for once in a process, which asks several times for each run; another list of folders is looked through anew."""
    return tuple(found.name for found in iter_modules(folders) if found.ispkg)


def able(function: str) -> dict[str, ModuleType]:
    """The connectors that have `function` in their `__all__`, by name."""
    modules = {name: _loaded(name) for name in names()}
    return {name: module for name, module in modules.items() if function in module.__all__}


def abouts(function: str = "accepts") -> list[About]:
    """What the connectors that have `function` say of themselves."""
    return [module.ABOUT for module in able(function).values()]


def about(session: object) -> About | None:
    """What the connector that knows a URI or a live session says of itself; None where there is none."""
    return next((module.ABOUT for _, module in _able_with("accepts", resolved(session))), None)


def known_place(uri: str) -> str | None:
    """The place behind a URI, as the connector says that knows it; None where none knows it, or it has nothing to say."""
    return next((str(module.place_of(uri)) for _, module in _able_with("place_of", uri)), None)


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
    """A live connection of the named connector from what describes one; one that is live already is returned as it is.

    Raises: MissingExtra when its driver is not installed; as the connector's own.
    """
    with _extra_of(name):
        live: Connection = connector(name).connect(resolved(connection), **options)
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


def reader_of(session: object) -> str:
    """The name of the connector that reads tables of what `session` leads to, for `connect` and `open_source`.

    Raises: FixConfig when none does.
    """
    for name, _ in _able_with("open_source", resolved(session)):
        return name
    raise _unknown("Opening the source", "how to read tables of", session, function="open_source")


def open_source(name: str, connection: Connection, **options: object) -> Source:
    """A source of the named connector on a live connection; `options` are that connector's own."""
    source: Source = connector(name).open_source(connection, **options)
    return source


def open_destination(session: object, **options: object) -> Destination:
    """The destination behind a URI (`duckdb:///lake.duckdb`, `postgresql://host/db`) or a live session (a connection).

    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed.
    """
    meant = resolved(session)
    for name, module in _able_with("open_destination", meant):
        with _extra_of(name):
            destination: Destination = module.open_destination(meant, **options)
        return destination
    raise _unknown("Opening the destination", "how to write to", session, function="open_destination")


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
        f"nothing here knows how to push rows to {shown(session)}",
        hint="Pass a SalesforceClient, an authenticator, or a dict with access_token and instance_url.",
    )


def can_query(session: object) -> bool:
    """Whether `open_query` knows this connection or URI; no driver is loaded."""
    return any(True for _ in _able_with("open_query", resolved(session)))


def only_reads(session: object) -> bool:
    """Whether tables are read of this connection or URI, and none can be written there; no driver is loaded."""
    meant = resolved(session)
    return any(True for _ in _able_with("open_source", meant)) and not any(True for _ in _able_with("open_destination", meant))


def open_query(
    session: object, sql: str, *, parameters: Sequence[object] | Mapping[str, object] = (), **options: object
) -> pa.RecordBatchReader:
    """The rows that the database behind a URI (`duckdb:///lake.duckdb`) or a live connection answers, as a stream.

    A file is opened for reading only. `options` are those that every connector takes: `memory_limit`.
    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed; as the connector's own.
    """
    meant = resolved(session)
    for name, module in _able_with("open_query", meant):
        with _extra_of(name):
            reader: pa.RecordBatchReader = module.open_query(meant, sql, parameters=parameters, **options)
        return reader
    raise _unknown("Opening the database", "how to query", session, function="open_query")


def files_named(session: object, sql: str) -> list[str]:
    """The texts in a query that may be paths, or patterns, of files of this machine; none where the database reads no such.

    Raises: MissingExtra when its driver is not installed.
    """
    meant = resolved(session)
    for name, module in _able_with("files_named", meant):
        with _extra_of(name):
            return list(module.files_named(meant, sql))
    return []


def open_results(session: object, schema: str, **options: object) -> ResultTables:
    """The tables of what became of pushed rows, in `schema` of the database behind a URI or a live connection.

    `options` are those that every connector takes: `memory_limit`.
    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed; as the connector's own.
    """
    meant = resolved(session)
    for name, module in _able_with("open_results", meant):
        with _extra_of(name):
            results: ResultTables = module.open_results(meant, schema, **options)
        return results
    raise _unknown("Opening the result tables", "how to write result tables to", session, function="open_results")


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


def open_offload(given: Follows | str, **settings: object) -> Follows:
    """What follows large messages into the bucket of that name, or what is given for it; `settings` as of `open_buckets`.

    Raises: as `open_buckets`.
    """
    large: Follows = connector("aws").open_offload(given, **settings)
    return large


def open_topic(arn: str, **settings: object) -> Topic:
    """The topic of that ARN; `settings` as of `open_buckets`.

    Raises: as `open_buckets`; FixConfig for what is no ARN of a topic.
    """
    topic: Topic = connector("aws").open_topic(arn, **settings)
    return topic


def open_subscriptions(**settings: object) -> Subscriptions:
    """What a login to AWS may see and change of queues and of their subscriptions to topics; `settings` as of `open_buckets`.

    Raises: as `open_buckets`.
    """
    found: Subscriptions = connector("aws").open_subscriptions(**settings)
    return found


def open_signature_check(topics: Collection[str], **options: object) -> SignatureCheck:
    """What checks the signature of messages that these topics post; `options` are `max_age_s`, `sha256_only`, ...

    Raises: FixConfig without a topic, MissingExtra when boto3 is not installed.
    """
    check: SignatureCheck = connector("aws").SignatureCheck(topics, **options)
    return check


def open_claims(place: str) -> IdempotencyStore | None:
    """The store of claims that a URI names (`redis://host`, `dynamodb://table`); None where no connector knows it.

    Raises: FixConfig for a URI that cannot be read, MissingExtra when its driver is not installed.
    """
    scheme = place.partition("://")[0].lower()
    for name, schemes in _CLAIMED.items():
        if scheme in schemes and "://" in place:
            with _extra_of(name):
                store: IdempotencyStore = connector(name).open_claims(place)
            return store
    return None


def open_once(session: object, key: str, *, fence: int) -> AbstractContextManager[Any]:
    """A transaction that also holds the note that the effect of `key` was applied, in the database behind a URI or a connection.

    Raises: FixConfig when no connector knows it, MissingExtra when its driver is not installed; as the connector's own.
    """
    meant = resolved(session)
    for name, module in _able_with("open_once", meant):
        with _extra_of(name):
            transaction: AbstractContextManager[Any] = module.open_once(meant, key, fence=fence)
        return transaction
    raise FixConfig(
        "Applying an effect once",
        f"nothing here knows transactions of {shown(session)}",
        hint="Pass a psycopg, sqlite3 or DuckDB connection, or a URI: postgresql://, sqlite:///file, duckdb:///file.",
    )


def secret_of(kind: str, reference: str) -> str:
    """The secret behind a reference to a keeper of secrets: `aws-sm` with `name#key`.

    Raises: NotFound for a secret or key that is not there, FixConfig, AccessDenied; MissingExtra when boto3 is not installed.
    """
    return str(connector(_SECRETS[kind]).secret_of(reference))


def _loaded(name: str) -> ModuleType:
    try:
        return import_module(f"{_FOLDER}.{_DEEPER.get(name, name)}")
    except ModuleNotFoundError as error:
        raise missing_extra(name, error) from error


def _able_with(function: str, session: object) -> Iterator[tuple[str, ModuleType]]:
    """The connectors that have a function and know a session that is resolved, by name; one is enough."""
    return ((name, one) for name, one in able(function).items() if "accepts" in one.__all__ and one.accepts(session))


@contextmanager
def _extra_of(name: str) -> Iterator[None]:
    """The named connector is used, whose driver may not be installed.

    Raises: MissingExtra then.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(name, error) from error


def _unknown(doing: str, what: str, session: object, *, function: str) -> FixConfig:
    """The error for a URI or a session that no connector knows."""
    examples = ", ".join(module.ABOUT.example for module in able(function).values() if "accepts" in module.__all__)
    hint = f"Pass a connection that is open, or a URI such as {examples}. A database file beside you comes after three slashes."
    return FixConfig(doing, f"nothing here knows {what} {shown(session)}", hint=hint)


def shown(session: object) -> str:
    """What a session is, without anything that may be a secret in it."""
    if not isinstance(session, str):
        return type(session).__name__
    scheme, separator, _ = session.partition("://")
    if separator and _SCHEME.fullmatch(scheme):
        return f"{scheme}://"
    scheme, separator, _ = session.partition(":")
    if separator and any(_able_with("accepts", session)):  # `file:folder`
        return f"{scheme}:"
    return repr(session) if _PLAIN_PATH.fullmatch(session) else "a text that is no URI"
