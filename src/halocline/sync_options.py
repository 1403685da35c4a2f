"""The options of a sync, held against what they may be, as the command line and halocline.yaml hold theirs.

What nobody looks at means something else in silence: `full="no"` is true, and a share of 50 guards nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

from halocline.errors import FixConfig
from halocline.refresh import LONGEST_S

if TYPE_CHECKING:
    from halocline.sync import SobjectSync

_DOING = "Reading the options"
_NAMES = ("sobject", "table", "match_field")
_TEXTS = (*_NAMES, "deletes", "numbers", "contract", "formula_refresh")
_TEXTS_OR_NONE = ("schema", "stage_name", "where_clause", "soql")
_SWITCHES = ("use_stage", "force_full_sync", "allow_empty", "history")
_PAIRS = {"rename": "Give old names with new ones: {'Name': 'account_name'}.", "mask": "Use hash or null: {'Email': 'hash'}."}


def sound(job: SobjectSync) -> SobjectSync:
    """The sync with lists of columns as lists: a text names them by comma, as on the command line.

    Raises: FixConfig for a value of a type that an option does not take, and for a number that it cannot be.
    """
    for name in (*_TEXTS, *_TEXTS_OR_NONE):
        _check_text(name, getattr(job, name), or_none=name in _TEXTS_OR_NONE)
    for name in _SWITCHES:
        _check_switch(name, getattr(job, name))
    for name, hint in _PAIRS.items():
        _check_pairs(name, getattr(job, name), hint)
    _check_share(job.max_delete_share)
    if job.lookback_s is not None:
        check_seconds("lookback_s", job.lookback_s)
    return replace(job, fields=_columns("fields", job.fields), exclude=_columns("exclude", job.exclude) or ())


def check_seconds(name: str, value: object, *, endless: bool = False) -> None:
    """Raises: FixConfig for what is no number of seconds from 0 to a hundred years; any from 0 up, and infinity, is one where a
    wait may be without end.
    """
    most = math.inf if endless else LONGEST_S
    if isinstance(value, bool) or not isinstance(value, Real) or value < 0 or not value <= most:
        hint = "Give a number from 0 up." if endless else f"Give a number from 0 to {LONGEST_S}, a hundred years."
        raise _refused(name, value, "is no number of seconds", hint)


def _refused(name: str, value: object, cause: str, hint: str) -> FixConfig:
    return FixConfig(_DOING, f"{name}={value!r:.80} {cause}", hint=hint)


def _check_text(name: str, value: object, *, or_none: bool) -> None:
    if not (isinstance(value, str) or (or_none and value is None)):
        hint = "A row has one key: name one field." if name == "match_field" else "Give a text."
        raise _refused(name, value, "is no text", hint)
    if name in _NAMES and not value:
        raise _refused(name, value, "is empty", "Give a text.")


def _check_switch(name: str, value: object) -> None:
    """0, 1 and None are taken, for they can mean but one thing."""
    if not isinstance(value, (bool, int, type(None))) or value not in (0, 1, None):
        raise _refused(name, value, "is neither True nor False", "Give True or False; a text such as 'no' would count as true.")


def _check_share(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        hint = "Give a part of the table's rows, from 0 to 1: 0.5 is half of them."
        raise _refused("max_delete_share", value, "is no share", hint)


def _check_pairs(name: str, value: object, hint: str) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise _refused(name, value, "leads from no column's name to a text", hint)


def _columns(name: str, value: object) -> list[str] | None:
    """The names of columns, given one by one or in a text; None where nothing was given. Raises: FixConfig."""
    if value is None:
        return None
    listed = isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping))
    found = value.split(",") if isinstance(value, str) else list(value) if listed else [value]  # type: ignore[call-overload]  # it is one
    if not all(isinstance(one, str) and one.strip() for one in found):
        raise _refused(name, value, "names no columns", "Give a list of their names, or a text that has them by comma.")
    return [str(one).strip() for one in found]
