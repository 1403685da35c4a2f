"""Masking: what an error says, without what the message holds. Bodies are somebody's data, and logs go everywhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from html import unescape
from itertools import chain
from typing import Any
from urllib.parse import unquote_plus

from halocline.consume.handling.message import EVENT_KEY
from halocline.queues import Delivery

HIDDEN = "***"
_LONGEST = 500
_SHORTEST = 4  # a shorter text is in every other sentence, and says nothing of anybody
_MOST_VALUES = 500_000  # a message of a mebibyte has fewer; of one that has more nothing is told
_MOST_TEXT = 20_000  # characters that are looked through
_FIELD = re.compile(r"(?!.*[0-9]{4})[a-z][A-Za-z0-9_]{0,39}")  # such a key is a field's name; others are somebody's data
_PLAIN = re.compile(r"[!#-&(-\[\]-~]+(?: [!#-&(-\[\]-~]+)*")  # what is written alike in and out of quotes
_NUMBER = re.compile(r"[0-9][0-9.]{3,}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?')  # without an end, too: looking for none would take the square of a body's length
_TAG = re.compile(r"</?[A-Za-z_][\w:.-]*")
_PIECE = re.compile(r"([^<>&=,;|\t\r\n\"']+)(=?)")  # what stands for itself in XML, CSV and forms
_FORMED = re.compile(r"[<>&=,;|\t\r\n\"]")
_BETWEEN = re.compile(r">([^<>]+)")
_TOKEN = re.compile(r"[^\s<>\"'=&,;:()\[\]{}]+")  # one with an @ in it is an address
_LONGEST_NUMBER = 300  # digits that are written in other ways, too


def told(error: BaseException, delivery: Delivery | None = None) -> str:
    """What an error says, at most 500 characters: values of the message's body and attributes that are in it are hidden, save the
    name of its event.

    A validation error of pydantic is told by places and reasons, without what it was given.
    """
    text = " ".join(_words(error).split())
    if delivery is not None:
        spared = {str(delivery.attributes.get(EVENT_KEY, "")), _event(error)}
        text = hidden(text, delivery.body, values=_of_attributes(delivery), spared=spared)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def hidden(text: str, body: str, *, values: Iterable[str] = (), spared: Iterable[str] = ()) -> str:
    """The text without the body, its lines, the texts and numbers in it where it is JSON, what stands between the signs of XML,
    CSV or a form where it is not, and these values, save what is `spared`; as they are, and as Python and JSON write them in
    quotes. Of a text or a body that is too long to be looked through, nothing is left.
    """
    if len(text) > _MOST_TEXT:
        return HIDDEN
    try:
        found = set(chain(_values(body), values)).difference(spared)
    except _TooManyError:
        return HIDDEN
    forms = {form for value in found if len(value) >= _SHORTEST for form in _forms(value) if form in text}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(value: str) -> Iterator[str]:
    """How a value may stand in a text, whose white space may have been folded."""
    if _PLAIN.fullmatch(value):
        yield value
        return
    for form in (value, repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield form
        yield " ".join(form.split())


def _words(error: BaseException) -> str:
    try:
        text = _of_pydantic(error) if type(error).__module__.startswith("pydantic") else str(error)
    except Exception:  # noqa: BLE001 - an error of a user's that cannot be told
        return ""
    return text.encode(errors="replace").decode()  # half a character, as a file's name may have one, is stored nowhere


def _event(error: BaseException) -> str:
    try:
        return str(getattr(error, "event", ""))
    except Exception:  # noqa: BLE001 - as above
        return ""


def _of_pydantic(error: BaseException) -> str:
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return str(error)
    is_first = hasattr(error, "raw_errors")  # pydantic.v1, whose `errors` takes nothing, and holds no input
    each: Any = errors() if is_first else errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in each)


class _TooManyError(Exception):
    """A body has more values than are looked at."""


class _Number(str):
    """A number as it is written in JSON."""

    __slots__ = ()


def _values(body: str) -> Iterator[str]:
    yield body.strip()
    yield from _inner(body)


def _inner(text: str) -> Iterator[str]:
    """The values of JSON, and of JSON within JSON, as an envelope of SNS has it; of a text, where it is none."""
    open_: list[Any] = []
    yield from _opened(text, open_)
    seen = 0
    while open_:
        seen += 1
        if seen > _MOST_VALUES:
            raise _TooManyError
        one = open_.pop()
        if isinstance(one, dict):
            open_.extend(one.values())
            yield from (name for name in one if not _FIELD.fullmatch(name))
        elif isinstance(one, list):
            open_.extend(one)
        elif isinstance(one, _Number):
            yield from _of_number(one)
        elif isinstance(one, str):
            yield one
            yield from _of_digits(one)
            if one.lstrip()[:1] in ("{", "["):
                yield from _opened(one, open_)
            elif _FORMED.search(one) or "@" in one:
                yield from _of_text(one)


def _opened(text: str, open_: list[Any]) -> Iterator[str]:
    """What JSON holds goes to `open_`; the values of a text that is none, or too deep to be read as such."""
    try:
        open_.append(json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number))
    except (ValueError, RecursionError):
        yield from _of_text(text)


def _of_attributes(delivery: Delivery) -> Iterator[str]:
    for value in chain(delivery.attributes.values(), (typed.content for typed in delivery.typed.values())):
        if isinstance(value, bytes):
            yield repr(value)[2:-1]
            yield base64.b64encode(value).decode()
            value = value.decode(errors="replace")  # noqa: PLW2901 - the text that it may be
        yield str(value)
        yield from _inner(str(value))


def _of_number(text: str) -> Iterator[str]:
    """A number as it is written, and as Python writes what is made of it."""
    yield text
    if len(text) > _LONGEST_NUMBER or text.isdigit():
        return
    try:
        number = Decimal(text)
        yield from (str(number), repr(float(text)))
        if abs(number.adjusted()) < _LONGEST_NUMBER and number.is_finite():
            yield from (f"{number:f}", f"{number.normalize():f}")
    except (ArithmeticError, ValueError):
        return


def _of_digits(text: str) -> Iterator[str]:
    """A number in quotes, as it is without the zeros before it."""
    if text.isdigit() and text[0] == "0":
        yield text.lstrip("0")


def _of_text(text: str) -> Iterator[str]:
    """The lines of what is no JSON, what is in quotes in it, its numbers, and what stands between the signs of XML, CSV, forms;
    names of tags and fields are none of it.
    """
    yield from (line.strip() for line in text.splitlines())
    yield from (match[1] for match in _QUOTED.finditer(text))
    yield from _NUMBER.findall(text)
    yield from (token for token in _TOKEN.findall(text) if "@" in token)
    yield from (unescape(match[1].strip()) for match in _BETWEEN.finditer(text))
    for found, sign in set(_PIECE.findall(_TAG.sub("<", text))):
        piece = found.strip()
        if not (sign and _FIELD.fullmatch(piece)):
            yield piece
            yield unquote_plus(piece)
