"""What a verb answers: text for people or JSON for programs, and an exit code."""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from halocline.errors import HaloclineError, NotFound, Stop
from halocline.hiding import one_line, visible
from halocline.trace import places

INTERRUPTED = 130
BAD_USE = 2
EXIT_CODES = {
    0: "Done.",
    1: "Failed: going on would have risked data, or something unforeseen came up.",
    2: "Wrong use, or something that a person must change: a login, a name, a setting, a right.",
    3: "Done, but some records were refused, are in doubt or were not sent; or two sides differ.",
    75: "Nothing is wrong here: try again later.",
    130: "Interrupted.",
    141: "Nobody read the answer to its end.",
}
"""What the code says with which a verb ends. Of several flows or objects the gravest counts."""

_UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_WIDE = 200  # columns where nobody looks (a pipe, a file): a table is then never cut


class _Plainly(Console):
    """A console on which what others wrote, such as a row's text, moves no cursor and hides nothing: it is shown as Python would.

    Source: CWE-150, "Improper Neutralization of Escape, Meta, or Control Sequences"; CWE-93, "Improper Neutralization of CRLF
    Sequences"; CVE-2021-42574 (marks of direction).
    """

    def print(self, *objects: Any, **how: Any) -> None:
        """See Rich. A text without markup is one line, and a line end in it is shown too; of what is wider, say each line."""
        plain = how.get("markup") is False
        try:
            super().print(*(one_line(one) if plain and isinstance(one, str) else one for one in objects), **how)
        except OSError as error:
            if not self.stderr or not is_unwritten(error):  # what is at work does not end for want of somebody to tell
                raise

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See Rich: the pieces of what is printed; its own control codes are pieces of another kind."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


def _console(*, stderr: bool) -> Console:
    console = _Plainly(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    return console if console.is_terminal else _Plainly(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, width=_WIDE)


_IN_JSON = ContextVar("in_json", default=False)


_NOTICES: ContextVar[tuple[str, ...]] = ContextVar("notices", default=())


def in_json(value: bool) -> bool:
    """Note how this command answers, before anything of it is refused."""
    _IN_JSON.set(value)
    _NOTICES.set(())
    return value


def cell(text: str) -> Text:
    """What others wrote, for a cell of a table: on one line, and no markup."""
    return Text(one_line(text))


def warn(text: str) -> None:
    """Tell what is wrong with how this command was typed: people on standard error, programs by `notices` of each answer."""
    if answers_in_json():
        _NOTICES.set((*_NOTICES.get(), text))
    else:
        err.print(text, markup=False)


def answers_in_json() -> bool:
    """How this command answers, as `in_json` has noted it."""
    return _IN_JSON.get()


out = _console(stderr=False)
err = _console(stderr=True)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Turn an error of ours into one paragraph (or one JSON line) and its exit code, a SystemExit too; an interrupt into 130."""
    try:
        yield
    except HaloclineError as error:
        say_error(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from error
    except SystemExit as end:  # code of the user's raised it, none of ours does; and its 0 would read as a success
        if isinstance(end.__context__, BrokenPipeError):  # but for Rich: nobody reads on, which `run` tells by its code
            raise
        at = "".join(f" ({place})" for place in places(end)[:1])
        cause = f"code that it called would end the process (SystemExit: {end}{at})"
        failed = Stop("Running the command", cause, hint="Let that code raise an error in its place.")
        say_error(failed, as_json=as_json)
        raise typer.Exit(failed.exit_code) from end
    except KeyboardInterrupt:
        err.print("Interrupted; what was not committed is not visible anywhere.")
        raise typer.Exit(INTERRUPTED) from None


def is_unwritten(error: BaseException) -> bool:
    """Whether an answer could not be written: the disk of its log is full, or nobody reads on."""
    return isinstance(error, OSError) and error.errno in _UNWRITABLE and error.filename is None


def unforeseen(error: BaseException) -> HaloclineError:
    """An error as one of ours: what nobody thought of is a defect, whose traceback goes to standard error."""
    if isinstance(error, HaloclineError):
        return error
    traceback.print_exception(error)
    at = "".join(f" ({place})" for place in places(error)[:1])
    cause = f"something unforeseen came up ({type(error).__name__}: {error}{at})"
    return Stop("Running the command", cause, hint="Unless it is code of yours, it is a defect: report it with the lines above.")


def say_error(error: HaloclineError, *, as_json: bool, about: str = "") -> None:
    """Print one error: a paragraph on standard error, which says what it is `about`, or one JSON line on standard output."""
    if as_json:
        say_json(error_json(error))
    else:
        said = f"{about}: {error}" if about else str(error)
        err.print(Text.assemble((_kind(error), "bold red"), " ", " ".join(said.splitlines())))


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
    """Print one JSON document on one line of standard output, with what `warn` was told first among its `notices`."""
    if isinstance(value, dict) and (warned := _NOTICES.get()):
        value = {**value, "notices": [*warned, *value.get("notices", ())]}
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def refuse(message: str) -> NoReturn:
    """End with 2: the command was used wrongly. With --json that is an answer like any other error."""
    if answers_in_json():
        say_json({"success": False, "error": message, "kind": "Usage", "code": None, "exit_code": BAD_USE})
    else:
        err.print(Text.assemble(("Usage:", "bold red"), " ", one_line(message)))
    raise typer.Exit(BAD_USE)


def refuse_empty(typed: Mapping[str, object]) -> None:
    """End with 2 for an option whose text is empty: a variable that was not set would carry all rows, or all columns."""
    for name, value in typed.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and not text.strip(" ,") for text in texts):
            option = "the name of an object" if name == "objects" else f"--{name.replace('_', '-')}"
            refuse(f"{option} is empty; leave it out, or look whether a variable in it is not set.")


def _kind(error: HaloclineError) -> str:
    return {2: "Please check:", 75: "Try again later:"}.get(error.exit_code, "Failed:")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)
