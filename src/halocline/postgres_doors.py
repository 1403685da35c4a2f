"""PostgresDoors: what a PostgreSQL says to whom it does not let in. A connection that is refused has no SQLSTATE, only words."""

from __future__ import annotations

import re

# Source: src/backend/libpq/auth.c, src/backend/utils/init/postinit.c and miscinit.c of PostgreSQL 18, and libpq's fe-connect.c.
_LOGIN = re.compile(
    "password authentication failed|no password supplied|no pg_hba.conf entry|pg_hba.conf rejects|is not permitted to log in"
    '|role ".*" does not exist|SSL was required'
)
_DATABASE = re.compile('database ".*" does not exist')
LOOK = "Look at user, password and sslmode of the URI, and whom the server lets in (pg_hba.conf)."
"""What to try where `refuses_login`."""


def refuses_login(words: str) -> bool:
    """Whether a person has to mend user, password, encryption or the server's rules; another try would end alike."""
    return _LOGIN.search(words) is not None


def lacks_database(words: str) -> bool:
    """Whether the server has no database of that name."""
    return _DATABASE.search(words) is not None
