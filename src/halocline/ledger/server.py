"""Server: the PostgreSQL below a ledger - its connections, which are made anew when they were lost, and its migrations."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import tuple_row

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    RetryLater,
    StorageFailed,
)
from halocline.hiding import password_tried, quiet, scrub
from halocline.ledger.database import Migration, queries
from halocline.postgres_doors import LOOK, lacks_database, refuse_unknown_option, refuses_login, refuses_value

SCHEMA = "halocline"
LOST_S = 30.0  # seconds in which a server that went away may come back: a restart takes a few
BUSY_S = 30  # seconds to wait for another's transaction; ours take milliseconds each, so a longer wait means a stuck one
IDLE_S = 10  # seconds of silence in a transaction after which the server ends it: a process that is suspended blocks nobody
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 1.0
_DEFAULTS = {
    "connect_timeout": "15",
    "fallback_application_name": "halocline ledger",
    "client_encoding": "UTF8",
    "keepalives_idle": "30",  # a server that is gone is noticed after a minute, not after the system's two hours
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_URI = re.compile(r"postgres(ql)?://([^@/?#\s]*@)?[^@?#\s]*(\?[^#\s]*)?", re.IGNORECASE)
_WRITE = (
    "Write postgresql://user:password@host:5432/database?schema=halocline, the special characters of the password as percent"
    " codes (@ as %40)."
)
_LOGIN = f"It is the URI in HALOCLINE_LEDGER. {LOOK}"
_THE_DATABASE = "Look at the database that HALOCLINE_LEDGER names."
_AGAIN = "Run it again when the server answers; what was booked is booked."
# Source: "PostgreSQL Error Codes", https://www.postgresql.org/docs/18/errcodes-appendix.html, read November 2026.
_RULES: tuple[tuple[tuple[str, ...], type[HaloclineError], str], ...] = (
    (("42501",), AccessDenied, "Give this user its schema: CREATE SCHEMA halocline AUTHORIZATION the_user."),
    (("28",), LoginRefused, _LOGIN),
    (("3D000",), FixConfig, _THE_DATABASE),
    (("25006",), StorageFailed, "This server only reads (a replica?): name one that takes writes."),
    (("55P03",), RetryLater, "Another session has been writing to it for long; look for one that hangs."),
    (("40", "57014", "53300"), RetryLater, "Run it again later."),
    (("57P", "08", "25P03"), NetworkFailed, _AGAIN),
)


class Server:
    """The schema of a ledger on a PostgreSQL, with as many connections as are in use at once.

    Raises: FixConfig for a URI that cannot be read (without repeating it).
    """

    def __init__(self, uri: str) -> None:
        self.schema, self._conninfo = _read(uri)
        known = {name: str(value) for name, value in conninfo_to_dict(self._conninfo).items()}
        self.place = f"{known.get('dbname', '')} on {known.get('host', 'this host')}, schema {self.schema}"
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = threading.Event()

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._closed.set()
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def transaction(self, doing: str, *, about: str | None = None) -> Iterator[psycopg.Cursor[Any]]:
        """A transaction: durable when the block ends well, undone when it does not; without `about` it only reads.

        Of several with the same `about` one goes on at a time. A connection that was lost since its last use is made anew;
        one that is lost on the way ends the transaction.
        Raises: what the gate makes of the driver's errors.
        """
        with _gate(doing):
            connection = self._begun(doing, about)
            try:
                with connection.cursor(row_factory=tuple_row) as cursor:
                    yield cursor
                connection.execute("COMMIT")
            except BaseException:
                connection.close()  # which undoes it, whatever state it is in
                raise
        self._keep(connection)

    def once(self, name: str, values: Mapping[str, object], *, doing: str) -> list[tuple[Any, ...]]:
        """The rows of one named statement that is a transaction of its own, in one round trip; durable when this returns.

        A connection that was lost is made anew once, and the statement run again: it must do no harm twice.
        Raises: what the gate makes of the driver's errors, soon: nobody waits here for a server to come back.
        """
        with _gate(doing):
            try:
                return self._once(name, values, doing)
            except psycopg.OperationalError as error:
                if not isinstance(_translated(doing, error), NetworkFailed):
                    raise
                with suppress(IndexError):  # until another thread has taken the last
                    while self._idle:
                        self._idle.pop().close()  # lost by the same cause
                return self._once(name, values, doing)

    def _once(self, name: str, values: Mapping[str, object], doing: str) -> list[tuple[Any, ...]]:
        if self._closed.is_set():
            raise StorageFailed(doing, "the ledger is closed")
        connection = self._connection()
        try:
            with connection.cursor(row_factory=tuple_row) as cursor:
                rows = cursor.execute(qualified(name, self.schema), values).fetchall()
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return rows

    def _connection(self) -> psycopg.Connection[Any]:
        """A connection that nobody uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)

    def _keep(self, connection: psycopg.Connection[Any]) -> None:
        """Keep a connection for the next who needs one."""
        self._idle.append(connection)
        if self._closed.is_set():
            self.close()

    def _begun(self, doing: str, about: str | None) -> psycopg.Connection[Any]:
        """A connection with a transaction open. Nothing was done on it yet, so this is tried again until `LOST_S` are over."""
        deadline, wait_s = time.monotonic() + LOST_S, _FIRST_WAIT_S
        while True:
            if self._closed.is_set():
                raise StorageFailed(doing, "the ledger is closed")
            try:
                return self._begin(about)
            except psycopg.OperationalError as error:
                if isinstance(_translated(doing, error), NetworkFailed) and time.monotonic() < deadline:
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                    continue
                raise

    def _begin(self, about: str | None) -> psycopg.Connection[Any]:
        connection = self._connection()
        try:
            connection.execute(self._opening(about))
        except BaseException:
            connection.close()
            raise
        return connection

    def _opening(self, about: str | None) -> sql.Composed:
        """One message to the server, so that it takes one round trip; settings end with the transaction, as poolers want it."""
        kind = "READ ONLY" if about is None else "READ WRITE"
        begin = f"BEGIN ISOLATION LEVEL READ COMMITTED, {kind}; SET LOCAL lock_timeout = '{BUSY_S}s'"
        begin += f"; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'"
        text = sql.SQL(begin + "; SET LOCAL search_path = {}").format(sql.Identifier(self.schema))
        if about is None:
            return text
        lock = sql.SQL("; SELECT pg_advisory_xact_lock(hashtextextended({}, 0))")
        return text + lock.format(sql.Literal(f"halocline ledger {self.schema} {about}"))


@cache
def statement(name: str) -> bytes:
    """The named statement of `queries/*.sql`, with its values spelled as psycopg wants them."""
    return re.sub(r":(\w+)", r"%(\1)s", queries()[name]).encode()


@cache
def qualified(name: str, schema: str) -> bytes:
    """The named statement, on the table `claims` of that schema: it runs without a transaction that could set a search path."""
    table = sql.Identifier(schema, "claims").as_bytes().replace(b"%", b"%%")
    return re.sub(rb"(?<=INTO )claims|(?<=UPDATE )claims|(?<=FROM )claims", lambda _: table, statement(name))


@cache
def migrations() -> tuple[Migration, ...]:
    """The steps that ship, in order; their numbers and names are those of SQLite's."""
    folder = resources.files("halocline.ledger").joinpath("migrations", "postgres")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple((int(file.name[:4]), file.name[5:-4], file.read_text()) for file in files if file.name.endswith(".sql"))


def opened(uri: str) -> Server:
    """The schema of a ledger, made, and brought up to date, where need be.

    Raises: as `Server` and `migrate`.
    """
    server = Server(uri)
    try:
        migrate(server)
    except BaseException:
        server.close()
        raise
    return server


def migrate(server: Server) -> None:
    """Bring a ledger's schema up to the last step, each step and the note that it ran in one transaction, one process at a time.

    Raises: FixConfig when the schema holds something else than a ledger, or a later step than we know.
    """
    doing = f"Opening the ledger in {server.place}"
    with server.transaction(doing) as cursor:
        done = _applied(cursor, server, doing)
    for number, name, text in migrations():
        if number > done:
            with server.transaction(doing, about="migrations") as cursor:
                if _applied(cursor, server, doing) < number:  # asked again: another process may have just done it
                    _run(cursor, server.schema, (number, name, text))


def _run(cursor: psycopg.Cursor[Any], schema: str, step: Migration) -> None:
    number, name, text = step
    if not _exists(cursor, schema):  # asked, for IF NOT EXISTS wants the right to make it also where it is there
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    cursor.execute(text.encode())
    now = """to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
    cursor.execute(f"INSERT INTO migrations (number, name, ran) VALUES (%s, %s, {now})".encode(), [number, name])


def _exists(cursor: psycopg.Cursor[Any], schema: str) -> bool:
    return bool(cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchall())


def _applied(cursor: psycopg.Cursor[Any], server: Server, doing: str) -> int:
    """The number of the last step that ran in this schema; 0 for an empty one."""
    found = cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s))", [server.schema])
    tables = {name for (name,) in found.fetchall()}
    if not tables:
        return 0
    if "migrations" not in tables or "leases" not in tables:
        raise FixConfig(
            doing, "the schema is another program's", hint="Give the ledger one of its own: add ?schema=NAME to the URI."
        )
    number = int(cursor.execute("SELECT max(number) FROM migrations").fetchall()[0][0])
    if number > (known := migrations()[-1][0]):
        cause = f"a newer Halocline wrote it (its version is {number}, this one knows {known})"
        raise FixConfig(doing, cause, hint="Upgrade Halocline here, or give the ledger another schema: ?schema=NAME.")
    return number


def _read(uri: str) -> tuple[str, str]:
    """The schema that a URI names, and what libpq is to be told. Of the URI only the name of an unknown option is repeated."""
    parts = urlsplit(uri)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    schema = next((value for name, value in pairs if name == "schema"), SCHEMA)
    rest = urlencode([pair for pair in pairs if pair[0] != "schema"], quote_via=quote)
    plain = f"{uri.partition('?')[0]}?{rest}" if rest else uri.partition("?")[0]
    if _URI.fullmatch(plain) and schema and "\0" not in schema:
        with suppress(psycopg.Error):
            said = conninfo_to_dict(plain)
            if all(port.isdecimal() or not port for port in str(said.get("port") or "").split(",")):  # libpq would repeat it
                return schema, make_conninfo("", **{**_DEFAULTS, **said})
        known = ["schema", *(one.keyword.decode() for one in Conninfo.get_defaults())]
        refuse_unknown_option(uri, known, doing="Opening the ledger")
    raise FixConfig("Opening the ledger", "its URI cannot be read", hint=_WRITE)


@contextmanager
def _gate(doing: str) -> Iterator[None]:
    """Turn a failure of PostgreSQL into one of ours; above this nobody sees the driver's errors."""
    try:
        yield
    except psycopg.Error as error:
        raise _translated(doing, error) from quiet(error, password_tried(error))


def _translated(doing: str, error: psycopg.Error) -> HaloclineError:
    state = error.sqlstate or ""
    words = scrub(" ".join((error.diag.message_primary or str(error)).split()), password_tried(error))
    for states, kind, hint in _RULES:
        if state.startswith(states):
            return kind(doing, words, hint=hint, code=state)
    if isinstance(error, psycopg.OperationalError) and not state:
        if refuses_login(str(error)):
            return LoginRefused(doing, words, hint=_LOGIN)
        if lacks_database(str(error)):
            return FixConfig(doing, words, hint=_THE_DATABASE)
        if refuses_value(str(error)):
            return FixConfig(doing, words, hint="Look at the options of the URI in HALOCLINE_LEDGER.")
        return NetworkFailed(doing, words, hint=_AGAIN)
    return StorageFailed(doing, words, hint="Look at the server and its disk.", code=state or None)
