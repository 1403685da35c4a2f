"""Functions of yours that flows name, `module:function`: what they are called, and rows that one of them gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from halocline.errors import HaloclineError, Stop
from halocline.located import function_at
from halocline.trace import places

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_EXAMPLE = "leads:rows"


def _checked(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError(f"it is module:function, such as {_EXAMPLE}")
    return text


FunctionName = Annotated[str, AfterValidator(_checked)]
"""`module:function`; the module is looked for beside halocline.yaml, and where Python is installed."""


def given_by(place: str, folder: Path) -> object:
    """What the function at `module:function`, called without arguments, gives: rows in any form that can be pushed.

    Raises: FixConfig for one that is not there; Stop for what it raises, unless that is an error of `halocline.errors`; so does
    an iterator that it gives.
    """
    function = found(place, folder)
    try:
        given = function()
    except HaloclineError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(place, error) from error
    return _each(given, place) if isinstance(given, Iterator) else given


def found(place: str, folder: Path) -> Callable[..., object]:
    """The function at `module:function`.

    Raises: FixConfig for one that is not there.
    """
    return function_at(place, doing=f"Looking for the function {place}", folder=folder, example=_EXAMPLE)


def heard(place: str, folder: Path) -> Callable[..., object]:
    """The function at `module:function`, as what hears of rows: that it would end the process is a failure of it like another.

    Raises: as `found`.
    """
    function = found(place, folder)

    def calling(*arguments: object) -> object:
        try:
            return function(*arguments)
        except SystemExit as error:
            raise RuntimeError(f"{place} would end the process (SystemExit: {error})") from error

    return calling


def _each(given: Iterator[object], place: str) -> Iterator[object]:
    try:
        yield from given
    except HaloclineError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(place, error) from error


def _failed(place: str, error: BaseException) -> Stop:
    at = places(error)[:1]
    where = f" ({at[0]})" if at else ""
    hint = "Nothing was sent. Raise halocline.errors.RetryLater for what trying again mends."
    return Stop(f"Asking {place} for rows", f"it raised {type(error).__name__}: {error}{where}", hint=hint)
