"""The gate: what Snowflake and its connector report becomes an error of ours that says what to try."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from snowflake.connector.errors import Error, InterfaceError, OperationalError

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    QuotaExhausted,
    RetryLater,
    SchemaConflict,
    Stop,
    StorageFailed,
    Truncated,
)
from halocline.hiding import quiet, scrub

MISSING = 2003  # an object that does not exist, or that this role may not see; Snowflake does not say which
NO_WAREHOUSE = 606
DENIED = 3001
_SHOWN = 300  # characters of the server's own message; it may quote a whole record
_LABELS = re.compile(r"^(\s*\d{5,6} \(\w+\): (?:[0-9a-f]{8}-[0-9a-f-]+: )?)+")
_REQUEST = re.compile(r"\s?\(request_id=[0-9a-f-]+\)")


@contextmanager
def gate(doing: str) -> Iterator[None]:
    """Turn an error of Snowflake or its connector into one of ours, with what was being done.

    Raises: what `translated` makes of it.
    """
    try:
        yield
    except Error as error:
        raise translated(doing, error) from quiet(error)


@contextmanager
def login_gate(secrets: Sequence[str], *, key: str | None) -> Iterator[None]:
    """As `gate` around a login, whose `secrets` are not told; the connector lets errors of others through. `key`: its file.

    Raises: FixConfig for a private key that cannot be used, NetworkFailed for an answer that is none; what `translated` makes of
    the rest.
    """
    doing = "Opening Snowflake"
    try:
        yield
    except Error as error:
        raise translated(doing, error, secrets=secrets) from quiet(error, secrets)
    except (OSError, ValueError, TypeError) as error:  # of the key's file, and of the library that reads it
        if key is None:
            raise _unreadable(doing, error, secrets) from quiet(error, secrets)
        cause = f"the private key {key} cannot be used: {_line(getattr(error, 'strerror', None) or str(error), secrets)}"
        raise FixConfig(doing, cause, hint=_KEY) from quiet(error, secrets)
    except (LookupError, AttributeError) as error:  # of an answer that lacks what it is to hold
        raise _unreadable(doing, error, secrets) from quiet(error, secrets)


def _unreadable(doing: str, error: Exception, secrets: Sequence[str]) -> NetworkFailed:
    cause = f"the answer is none of Snowflake's ({type(error).__name__}: {_line(str(error), secrets)})"
    return NetworkFailed(doing, cause, hint="Does SNOWFLAKE_HOST, or a proxy, lead to Snowflake?")


def translated(doing: str, error: Error, *, secrets: Sequence[str] = ()) -> HaloclineError:
    """Our error for theirs: by Snowflake's number, else by SQLSTATE, else by the connector's class; `secrets` are kept out.

    Source: numbers and texts as the connectors 4.8 and 5.2 and the community report them; Snowflake publishes no list.
    """
    number, state, said = abs(int(error.errno or 0)), str(error.sqlstate or ""), words(error, secrets)
    code = f"{number:06d}" if number else state or None
    rule = next((rule for rule in _RULES if number in rule.numbers), None)
    rule = rule or next((rule for rule in _RULES if state and state.startswith(rule.states)), None)
    if rule is None and isinstance(error, OperationalError | InterfaceError):
        return NetworkFailed(doing, said, hint=_AGAIN, code=code)
    if rule is None:
        return Stop(doing, said, code=code)
    return rule.kind(doing, said, hint=rule.hint, code=code)


def words(error: Error, secrets: Sequence[str] = ()) -> str:
    """The server's own words, on one line and not too many, without these secrets and what has the looks of one."""
    return _line(_REQUEST.sub("", _LABELS.sub("", str(error.msg or error))), secrets)


def _line(said: str, secrets: Sequence[str]) -> str:
    line = scrub(" ".join(said.split()), secrets)
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def is_missing(error: Error) -> bool:
    """Whether the object that was asked for is not there, or hidden."""
    return abs(int(error.errno or 0)) in (MISSING, 2043)


@dataclass(frozen=True, slots=True)
class _Rule:
    numbers: tuple[int, ...]
    states: tuple[str, ...]
    kind: Callable[..., HaloclineError]
    hint: str


_AGAIN = "Nothing was published; run it again when Snowflake answers."
_UNFIT = "A value is not of the type that its column has: change that type, or the value where it comes from, and run it again."
_KEY = "Look at the file that private_key_path (SNOWFLAKE_PRIVATE_KEY_PATH) names, and at its passphrase."
_USER = "Look at account, user, and password or key."
_RULES = (
    _Rule(
        (
            *(250001, 251003, 251004, 251005, 251006, 251007, 251008, 251009, 251013),
            *(390100, 390101, 390102, 390103, 390127, 390144, 390195, 390302, 390303, 390318, 390422, 394300, 394301, 394302),
        ),
        ("28",),
        LoginRefused,
        _USER,
    ),
    _Rule((251001, 251002), (), FixConfig, "Look at the account named in the URI."),
    _Rule((390186, 390189, 390190), (), FixConfig, "Look at the role named in the URI; the user must have been granted it."),
    _Rule((390201,), (), NotFound, "Look at database, schema and warehouse named in the URI."),
    _Rule((390104, 390110, 390111, 390112, 390114, 390115), (), NetworkFailed, "The session ended; run it again."),
    _Rule((DENIED,), ("42501",), AccessDenied, "Give this role the right (see docs/snowflake.md, rights needed)."),
    _Rule((2002,), ("42710",), AccessDenied, "It is there, and this role may not see it: grant it, or name another table."),
    _Rule(
        (MISSING, 2043, 2057, 2141),
        ("02000", "42S02"),
        NotFound,
        "It does not exist, or the role may not use it; Snowflake does not say which.",
    ),
    _Rule((NO_WAREHOUSE, 2211), ("57P03",), FixConfig, "Name a warehouse (?warehouse=WH), or set a DEFAULT_WAREHOUSE."),
    _Rule((90073,), (), QuotaExhausted, "A resource monitor holds the warehouse; raise its quota, or wait until it starts anew."),
    _Rule((607, 608, 609), (), RetryLater, "The warehouse is suspended or cannot be resumed now; run this again."),
    _Rule((625, 629), ("40",), RetryLater, "Another transaction holds the lock; let it end, and run this again."),
    _Rule((604, 630), ("57014",), RetryLater, "It was cancelled, or ran into STATEMENT_TIMEOUT_IN_SECONDS; run this again."),
    _Rule((100016, 100065, 100066, 100068, 100080, 100144), (), Truncated, "The page is damaged; run it again to fetch it anew."),
    _Rule((100078,), (), SchemaConflict, "A text is longer than its column; widen the column."),
    _Rule((100072,), ("23",), SchemaConflict, "A constraint of the table stands against it; loads bring what they bring."),
    _Rule((), ("22",), SchemaConflict, _UNFIT),
    _Rule((253003, 253006, 253012), (), StorageFailed, "Look at the spool folder (HALOCLINE_SPOOL)."),
    _Rule((), ("08", "HYT"), NetworkFailed, _AGAIN),
    _Rule((), ("42", "0A"), FixConfig, "Look at the table in the database."),
)
