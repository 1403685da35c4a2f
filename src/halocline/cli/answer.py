"""What a verb answers: text for people or JSON for programs, and an exit code.

Exit codes: 0 done, 1 failed, 2 bad use or configuration, 3 done but some records rejected or in doubt, or two sides differ,
75 try later, 130 interrupted, 141 nobody reads on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from halocline.errors import HaloclineError, NotFound

INTERRUPTED = 130
BAD_USE = 2

_WIDE = 200  # columns where nobody looks (a pipe, a file): a table is then never cut


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, width=_WIDE)


out = _console(stderr=False)
err = _console(stderr=True)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Turn an error of ours into one paragraph (or one JSON line) and its exit code; an interrupt into 130."""
    try:
        yield
    except HaloclineError as error:
        say_error(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        err.print("Interrupted; what was not committed is not visible anywhere.")
        raise typer.Exit(INTERRUPTED) from None


def say_error(error: HaloclineError, *, as_json: bool) -> None:
    """Print one error: a paragraph on standard error, or one JSON line on standard output."""
    if as_json:
        say_json(error_json(error))
    else:
        err.print(Text.assemble((_kind(error), "bold red"), " ", str(error)))


def error_json(error: HaloclineError) -> dict[str, object]:
    """The error as plain JSON data."""
    found: dict[str, object] = {
        "success": False,
        "error": str(error),
        "kind": type(error).__name__,
        "code": error.code,
        "exit_code": error.exit_code,
    }
    if isinstance(error, NotFound):
        found["suggestions"] = list(error.suggestions)
    return found


def say_json(value: object) -> None:
    """Print one JSON document on one line of standard output."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def refuse(message: str) -> NoReturn:
    """End with 2: the command was used wrongly."""
    err.print(Text.assemble(("Usage:", "bold red"), " ", message))
    raise typer.Exit(BAD_USE)


def _kind(error: HaloclineError) -> str:
    return {2: "Please check:", 75: "Try again later:"}.get(error.exit_code, "Failed:")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)
