"""What commands and clients make anew each time, and what no test is about: made once in a process of tests.

Reading the authorities to trust takes longer than all else in the making of a client, and the table of verbs longer than many a
command. Where a test names other authorities than the machine's (SSL_CERT_FILE, SSL_CERT_DIR), they are read each time.
"""

from __future__ import annotations

import os
import ssl
from functools import cache

import httpcore2
from typer import main, testing


def _named() -> list[str | None]:
    return [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]


_usually = _named()
_read = httpcore2.default_ssl_context
_usual = cache(_read)


def _authorities(*, _trust_env: bool = True) -> ssl.SSLContext:
    return (_usual if _named() == _usually else _read)(_trust_env=_trust_env)


def make_once() -> None:
    """From now on, in this process and in those that it forks."""
    httpcore2.default_ssl_context = _authorities
    main.get_command = testing._get_command = cache(main.get_command)
