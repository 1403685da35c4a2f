"""JSON files: one object a line, or one list of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from halocline.errors import FixConfig
from halocline.rows.text import opened

_CHARS = 1 << 20  # of a list that are looked at first; more only for an object that is longer
_NEAR_END = 64  # characters: an error this close to the end of what was read may be an object that goes on
_BLANK = re.compile(r"[ \t\r\n]*")
_ONE_LINE = 'A file with one object a line is read as such when its name ends in ".jsonl".'


def json_lines(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """The objects of a file that has one in each line; empty lines are skipped. Numbers are exact: int or Decimal.

    Raises: FixConfig naming the line that is no object; NotFound.
    """
    doing, decode = f"Reading {path.name}", _decoder().decode
    with opened(path, encoding) as file:
        for number, line in enumerate(file, 1):
            text = line.decode().strip(" \t\r\n")
            if text:
                yield _object(_read(decode, text, doing=doing, line=number), doing=doing, line=number)


def json_list(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """The objects of a file that is one list of them, read piece by piece. Numbers are exact: int or Decimal.

    Raises: FixConfig naming the line of what is no object; NotFound.
    """
    with opened(path, encoding) as file:
        yield from _Elements(_characters(file), f"Reading {path.name}").objects()


def _characters(file: Any) -> Callable[[int], str]:
    """A function that reads some characters more, none at the end."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()

    def read(size: int) -> str:
        data = file.read(size)
        text = decoder.decode(data, final=not data)
        return text if text or not data else read(size)

    return read


class _Elements:
    """The elements of a JSON list, found one after the other in a text that comes in pieces."""

    def __init__(self, more: Callable[[int], str], doing: str) -> None:
        self._more = more
        self._doing = doing
        self._decode = _decoder().raw_decode
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def objects(self) -> Iterator[dict[str, Any]]:
        first = self._next()
        if first != "[":
            cause = "it is a single object" if first == "{" else "it is no list of objects" if first else "the file is empty"
            raise FixConfig(self._doing, cause, hint=f"The file must hold one list: [{{...}}, {{...}}]. {_ONE_LINE}")
        self._at += 1
        mark = self._next()
        while mark != "]":
            yield self._element()
            mark = self._next()
            if mark == ",":
                self._at += 1
            elif mark != "]":
                raise self._wrong("there is no , or ] behind an object")
        self._at += 1
        if self._next():
            raise self._wrong("something follows the list")

    def _next(self) -> str:
        """The next character that is not blank, which is not taken; "" at the end."""
        while True:
            found = _BLANK.match(self._text, self._at)
            end = found.end() if found else self._at
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            if end < len(self._text) or not self._grown():
                return self._text[end : end + 1]

    def _grown(self) -> bool:
        """Whether there was more to read; what was taken already is let go."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        more = self._more(max(_CHARS, len(rest)))
        self._ended = not more
        self._text, self._at = rest + more, 0
        return bool(more)

    def _element(self) -> dict[str, Any]:
        mark = self._next()
        if mark != "{":
            raise self._wrong("an element of the list is no object")
        while True:
            try:
                found, end = _read(self._decode, self._text, self._at, doing=self._doing, line=self._line)
            except FixConfig as error:
                if self._may_go_on(error) and self._grown():
                    continue
                raise
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            return dict(found)

    def _may_go_on(self, error: FixConfig) -> bool:
        cause = error.__cause__
        if not isinstance(cause, json.JSONDecodeError):
            return False
        return "Unterminated" in cause.msg or cause.pos >= len(self._text) - _NEAR_END

    def _wrong(self, what: str) -> FixConfig:
        return FixConfig(self._doing, f"line {self._line:,}: {what}", hint=_ONE_LINE, line=self._line)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once)


class _NotExactError(ValueError):
    """Something that JSON readers let pass, each in its own way."""


def _no_number(name: str) -> None:
    raise _NotExactError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotExactError(f"{twice!r} is given twice in one object")
    return told


def _read(decode: Callable[..., Any], *text: Any, doing: str, line: int) -> Any:
    """What `decode` answers.

    Raises: FixConfig naming the line, counted on from `line`.
    """
    try:
        return decode(*text)
    except json.JSONDecodeError as error:
        start = text[1] if len(text) > 1 else 0
        at = line + error.doc.count("\n", start, error.pos)
        raise FixConfig(doing, f"line {at:,} is no JSON ({error.msg}, at character {error.colno:,})", line=at) from error
    except (ValueError, RecursionError) as error:
        raise FixConfig(doing, f"line {line:,}: {error}", line=line) from error


def _object(found: Any, *, doing: str, line: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise FixConfig(doing, f"line {line:,} is no object", hint="Each line must be one object: {...}.", line=line)
    return found
