"""The gate: what PostgreSQL and its driver report becomes an error of ours that says what to try."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    RetryLater,
    SchemaConflict,
    Stop,
    StorageFailed,
    Truncated,
)
from halocline.hiding import password_tried, quiet, scrub
from halocline.postgres_doors import LOOK, lacks_database, refuses_login, refuses_value

_VALUE = re.compile(r"COPY \S+, line \d+, column (.+?): \"(.*)\"", re.DOTALL)
_SHOWN = 300  # characters of the server's own message; it may quote a whole record


@contextmanager
def gate(doing: str) -> Iterator[None]:
    """Turn an error of PostgreSQL or its driver into one of ours, with what was being done.

    Raises: what `translated` makes of it.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translated(doing, error) from quiet(error, password_tried(error))


def translated(doing: str, error: psycopg.Error) -> HaloclineError:
    """Our error for theirs. The first rule that begins its SQLSTATE decides; without one it is the connection that failed.

    Source: "PostgreSQL Error Codes", https://www.postgresql.org/docs/18/errcodes-appendix.html, read November 2026.
    """
    state = error.sqlstate or ""
    if state.startswith("22"):
        return _unfit(doing, error)
    for rule in _RULES:
        if state and state.startswith(rule.states):
            return rule.kind(doing, words(error), hint=rule.hint, code=state)
    if isinstance(error, psycopg.OperationalError):
        if refuses_login(str(error)):
            return LoginRefused(doing, words(error), hint=LOOK)
        if lacks_database(str(error)):
            return NotFound(doing, words(error), hint=_THE_DATABASE)
        if refuses_value(str(error)):
            return FixConfig(doing, words(error), hint=_THE_OPTIONS)
        if _NO_HOST in str(error):
            return NetworkFailed(doing, words(error), hint=f"Check the host, and that this machine has a network. {_AGAIN}")
        return NetworkFailed(doing, words(error), hint=_AGAIN)
    if isinstance(error, psycopg.InterfaceError | psycopg.ProgrammingError) and not state:
        return FixConfig(doing, words(error), hint="Pass a connection that stays open for as long as the sync runs.")
    return Stop(doing, words(error), code=state or None)


def words(error: psycopg.Error) -> str:
    """The server's own words, on one line and not too many, without the password of the connection, and without the row that
    the server shows beside some.
    """
    told = [error.diag.message_primary, None if error.sqlstate in _SHOWS_ROW else error.diag.message_detail]
    line = " ".join(" ".join(part for part in told if part).split()) or " ".join(str(error).split())
    line = scrub(line, password_tried(error))
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def place(error: psycopg.Error) -> tuple[str, str] | None:
    """The column and the text at which a COPY stopped, where the server says so."""
    found = _VALUE.search(error.diag.context or "")
    return (found.group(1), found.group(2)[:_SHOWN]) if found else None


@dataclass(frozen=True, slots=True)
class _Rule:
    states: tuple[str, ...]
    kind: Callable[..., HaloclineError]
    hint: str


def _unfit(doing: str, error: psycopg.Error) -> HaloclineError:
    found = place(error)
    if isinstance(error, psycopg.errors.BadCopyFileFormat):
        return Truncated(doing, f"the page is damaged ({words(error)})", hint="Run it again; the page is then fetched anew.")
    if found is None:
        return SchemaConflict(doing, words(error), hint=_UNFIT, code=error.sqlstate)
    column, value = found
    cause = f"the column {column} cannot hold the value {value!r} ({words(error)})"
    return SchemaConflict(doing, cause, hint=_UNFIT, code=error.sqlstate, column=column, value=value)


_AGAIN = "Nothing was published; run it again when the server answers."
_UNFIT = "A value is not of the type that its column has: change that type, or the value where it comes from, and run it again."
NO_VALUE = "23502"  # of a null in a column that takes none
_SHOWS_ROW = frozenset({NO_VALUE, "23514"})  # a check that a row fails
_NO_HOST = "failed to resolve host"
_THE_OPTIONS = "Look at the options behind the question mark of the URI."
_THE_DATABASE = "Look at the database named in the URI."
_RULES = (
    _Rule(("42501",), AccessDenied, "Give this user the right (see docs/postgres.md, rights needed)."),
    _Rule(("28",), LoginRefused, LOOK),
    _Rule(("3D000",), NotFound, _THE_DATABASE),
    _Rule(("3F000", "42P01", "42703"), NotFound, "Somebody dropped or renamed it; run it again."),
    _Rule(("25006",), StorageFailed, "This server or transaction only reads (a replica?): name one that takes writes."),
    _Rule(("55P03",), RetryLater, "Another session holds the lock: let it end, or set lock_timeout higher, and run this again."),
    _Rule(("40",), RetryLater, "Another session changed the same rows; run this again."),
    _Rule(("57014",), RetryLater, "The server's statement_timeout ended it, or somebody cancelled it; run this again."),
    _Rule(("53100", "58", "XX"), StorageFailed, "Look at the server's disk; nothing was published."),
    _Rule(("53300",), RetryLater, "The server takes no more connections; run this again later."),
    _Rule(("53",), StorageFailed, "The server lacks memory or another resource; nothing was published."),
    _Rule(("57P", "08"), NetworkFailed, _AGAIN),
    _Rule(("42701",), FixConfig, "Give the column another name (--rename, AS in a query), or leave it out (exclude)."),
    _Rule(("2BP01",), FixConfig, "Drop what depends on the table first."),
    _Rule(
        ("23",), SchemaConflict, "A constraint of the table stands against it; drop the constraint, loads bring what they bring."
    ),
    _Rule(("0A000",), SchemaConflict, "A view or rule holds on to the column; drop it and make it again after the sync."),
    _Rule(("25", "26", "34", "42"), FixConfig, "Look at the table in the database."),
)
