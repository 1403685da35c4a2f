"""PostgresDoors: why a PostgreSQL is not entered. A connection that is refused has no SQLSTATE, only words; an option that is
misspelt is refused by libpq, which repeats more of the URI than may be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from halocline.errors import FixConfig
from halocline.mapping.near import near

# Source: src/backend/libpq/auth.c, src/backend/utils/init/postinit.c and miscinit.c of PostgreSQL 18, and libpq's fe-connect.c.
_LOGIN = re.compile(
    "password authentication failed|no password supplied|no pg_hba.conf entry|pg_hba.conf rejects|is not permitted to log in"
    '|role ".*" does not exist|SSL was required'
)
_DATABASE = re.compile('database ".*" does not exist')
_VALUE = re.compile(
    r'invalid \S+ value: "|invalid (integer value|port number)|invalid value for parameter|unrecognized configuration param'
)
_NAME = re.compile("[a-z][a-z_]{1,40}", re.IGNORECASE)
LOOK = "Look at user, password and sslmode of the URI, and whom the server lets in (pg_hba.conf)."
"""What to try where `refuses_login`."""


def refuses_login(words: str) -> bool:
    """Whether a person has to mend user, password, encryption or the server's rules; another try would end alike."""
    return _LOGIN.search(words) is not None


def lacks_database(words: str) -> bool:
    """Whether the server has no database of that name."""
    return _DATABASE.search(words) is not None


def refuses_value(words: str) -> bool:
    """Whether libpq or the server does not take what an option of the URI says (`sslmode=requir`)."""
    return _VALUE.search(words) is not None


def refuse_unknown_option(uri: str, known: Iterable[str], *, doing: str) -> None:
    """Hold the options of a URI against those of libpq and ours.

    Raises: FixConfig for the first that is none of `known`. Nothing is said of a URI with an @ behind its question mark: that
    may be in the password, and what looks like an option a piece of it.
    """
    query = uri.partition("?")[2]
    names = [unquote(pair.partition("=")[0]) for pair in query.split("&") if pair] if "@" not in query else []
    options = {*known, "ssl"}  # ssl=true is read as sslmode=require, for URIs of JDBC
    strange = next((name for name in names if name not in options and _NAME.fullmatch(name)), None)
    if strange is not None:
        meant = near(strange, sorted(options))
        hint = f"Did you mean {' or '.join(meant)}?" if meant else "Options are those of libpq: sslmode, connect_timeout, ..."
        raise FixConfig(doing, f"the URI's option {strange!r} is unknown", hint=hint)
