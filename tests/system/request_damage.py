"""How a good request goes bad: small damages, each on its own part of a request; they add up."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode
from xml.sax.saxutils import escape, unescape

from tests.system.odd_things import ENCODINGS, HEADERS, METHODS, PARAMETERS, SEGMENTS, TEXTS, VALUES, WORDS
from tests.system.request_world import Request

Damage = Callable[[Random, Request], Request]

DEEP = 5_000  # levels of nesting


def damages(request: Request) -> list[Damage]:
    """The damages that can be done to this request."""
    found: list[Damage] = [segment, parameter, header, header, method]
    if _soql(request) is not None:
        found += [query, query, query]
    if not request.body:
        return [*found, new_body]
    found += [raw, encoding]
    kind = request.headers.get("Content-Type", "")
    for start, own in (("application/json", json_value), ("text/csv", table), ("application/x-www", form), ("multipart", parts)):
        found += [own] * 4 if kind.startswith(start) else []
    return found + ([markup] * 4 if "xml" in kind else [])


def segment(dice: Random, request: Request) -> Request:
    """A segment of the path is another, twice there, or gone."""
    path, mark, asked = request.target.partition("?")
    pieces = path.split("/")
    at = dice.randrange(1, len(pieces))
    way = dice.randrange(6)
    if way == 0:
        pieces.insert(at, dice.choice(SEGMENTS))
    elif way == 1 and len(pieces) > 2:
        del pieces[at]
    elif way == 2:
        pieces[at] = pieces[at].swapcase()
    elif way == 3:
        pieces.append("")
    elif way == 4:
        pieces[-1] = dice.choice(SEGMENTS)
    else:
        pieces[at] = dice.choice(SEGMENTS)
    return replace(request, target=("/".join(pieces) or "/") + mark + asked)


def parameter(dice: Random, request: Request) -> Request:
    """A parameter of the query is another, twice there, new, or gone."""
    path, _, asked = request.target.partition("?")
    pairs = parse_qsl(asked, keep_blank_values=True)
    _change_pairs(dice, pairs)
    return replace(request, target=path + "?" + urlencode(pairs, errors="surrogatepass"))


def header(dice: Random, request: Request) -> Request:
    """A header is another, new, or gone."""
    headers = dict(request.headers)
    if headers and dice.random() < 0.2:
        del headers[dice.choice(sorted(headers))]
    else:
        name = dice.choice(sorted(HEADERS))
        headers[name] = dice.choice(HEADERS[name])
    body = gzip.compress(request.body) if headers.get("Content-Encoding") == "gzip" and dice.random() < 0.5 else request.body
    return replace(request, headers=headers, body=_torn(dice, body) if body is not request.body and dice.random() < 0.5 else body)


def method(dice: Random, request: Request) -> Request:
    """Another method."""
    return replace(request, method=dice.choice(METHODS))


def new_body(dice: Random, request: Request) -> Request:
    """A body where none is wanted, under some type."""
    kind = dice.choice(HEADERS["Content-Type"])
    return replace(request, body=_text(dice).encode(errors="surrogatepass"), headers={**request.headers, "Content-Type": kind})


def raw(dice: Random, request: Request) -> Request:
    """Bytes are other ones, gone, or too many."""
    return replace(request, body=_torn(dice, request.body))


def encoding(dice: Random, request: Request) -> Request:
    """The text in another encoding, with or without its mark."""
    text = request.body.decode(errors="replace") + dice.choice(("", "é", "漢"))
    if dice.random() < 0.3:
        return replace(request, body=b"\xef\xbb\xbf" + request.body)
    return replace(request, body=text.encode(dice.choice(ENCODINGS), errors="replace"))


def json_value(dice: Random, request: Request) -> Request:
    """A value, a name or the form of a JSON text."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        return raw(dice, request)
    way = dice.randrange(12)
    if way == 0:
        text = json.dumps(value)
        at = text.find(":") + 1
        nested = dice.choice(("[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 100_000))
        return replace(request, body=(text[:at] + nested + text[at:]).encode())
    if way == 1:  # numbers that JSON does not have, names that come twice, halves of a character
        odd = dice.choice(
            ("NaN", "-Infinity", "1" + "0" * 5_000, "1e999", "01", '"\\ud800"', '"\\u0000"', "'x'", '{"a":1,"a":2}')
        )
        return replace(
            request, body=re.sub(r'(?<=: )("[^"]*"|\d+|true|false|null)', lambda _: odd, json.dumps(value), count=1).encode()
        )
    if way == 2 and isinstance(value, dict) and value:
        twice = json.dumps(value)[:-1] + "," + json.dumps({dice.choice(sorted(value)): _value(dice)})[1:]
        return replace(request, body=twice.encode())
    return replace(request, body=json.dumps(_changed(dice, value)).encode())


def table(dice: Random, request: Request) -> Request:
    """A cell, a line or a mark of a CSV text."""
    lines = request.body.decode(errors="replace").split("\n")
    at = dice.randrange(len(lines))
    cells = lines[at].split(",")
    cells[dice.randrange(len(cells))] = _text(dice)
    lines[at] = ",".join(cells)
    way = dice.randrange(6)
    if way == 0:
        lines.insert(at, lines[at])
    elif way == 1:
        lines[0] = dice.choice(
            (
                "Id",
                "Name,Name",
                "Nothing__c",
                "Parent.Name",
                "Owner.Username",
                ",",
                "Account:Parent.Id",
                "Parent.Id,Id",
                "Account__r.Number__c,Number__c",
                "Owner.Username,Name",
                '"Name',
                "Id,Name",
            )
        )
    elif way == 2:
        lines = [line.replace(",", dice.choice(";\t|^`")) for line in lines]
    return replace(request, body=dice.choice(("\n", "\r\n", "\r")).join(lines).encode(errors="surrogatepass"))


def form(dice: Random, request: Request) -> Request:
    """A field of a form is another, twice there, new, or gone."""
    pairs = parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
    _change_pairs(dice, pairs)
    return replace(request, body=urlencode(pairs, errors="surrogatepass").encode())


def parts(dice: Random, request: Request) -> Request:
    """The boundary, the names or the content of a multipart form."""
    way = dice.randrange(5)
    if way == 0:
        kind = dice.choice(
            (
                "multipart/form-data",
                "multipart/form-data; boundary=",
                'multipart/form-data; boundary="x',
                "multipart/mixed; boundary=B",
            )
        )
        return replace(request, headers={**request.headers, "Content-Type": kind})
    old = dice.choice((b"--B", b'name="job"', b'name="content"', b"\r\n\r\n", b"{", b"Name", b"--\r\n"))
    return replace(request, body=request.body.replace(old, _text(dice).encode(errors="surrogatepass"), 1))


def markup(dice: Random, request: Request) -> Request:
    """An element, an entity, a declaration or the end of an XML text."""
    text = request.body.decode(errors="replace")
    way = dice.randrange(8)
    if way == 0:
        bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "x" * 100}">' for n in range(9))
        text = re.sub(r"(<\?xml[^>]*\?>)?", rf"\1<!DOCTYPE z [{bomb}]>", text, count=1).replace("</", "&a8;</", 1)
    elif way == 1:
        outside = dice.choice(('SYSTEM "file:///etc/passwd"', '"x"', 'PUBLIC "a" "http://127.0.0.1:9/"'))
        text = re.sub(r"(<\?xml[^>]*\?>)?", rf"\1<!DOCTYPE z [<!ENTITY e {outside}>]>", text, count=1).replace("</", "&e;</", 1)
    elif way == 2:
        text = text.replace('encoding="', 'encoding="' + dice.choice(("utf-16", "x", "latin-1", "utf-7", "")), 1)
    elif way == 3:
        names = re.findall(r"<([\w:]+)", text)
        name, other = dice.choice(names or ["x"]), dice.choice([*names, "x", "Id", "type", "ids", "sObjects"])
        text = re.sub(rf"(</?){re.escape(name)}\b", lambda match: match[1] + other, text)
    elif way == 4:
        deep = dice.choice((200, DEEP))
        text = text.replace("</", "<a>" * deep + "</a>" * deep + "</", 1)
    elif way == 5:
        text = re.sub(r"<(\w+)>[^<]*</\1>", "", text, count=dice.randrange(1, 3))
    else:
        values = list(re.finditer(r"(?<=>)[^<>]+(?=</)", text))
        if values:
            chosen = dice.choice(values)
            written = _text(dice).encode(errors="replace").decode()
            text = text[: chosen.start()] + (escape(written) if way == 6 else written) + text[chosen.end() :]
    return replace(request, body=text.encode())


def query(dice: Random, request: Request) -> Request:
    """A word of a query is another, gone, or twice there; or the whole is far too deep or long."""
    found = _soql(request)
    if found is None:
        return request
    soql, put = found
    way = dice.randrange(8)
    if way == 0:
        levels = dice.choice((50, 400, DEEP))
        extra = dice.choice(
            ("(" * levels + "Name = 'x'" + ")" * levels, "NOT " * levels + "Id = null", "Id = null OR " * levels + "Id = null")
        )
        return put(re.sub(r"( WHERE .*)?( ORDER .*| LIMIT .*|$)", lambda match: f" WHERE {extra}{match[2]}", soql, count=1))
    if way == 1:
        listed = ",".join(f"'{n}'" for n in range(dice.choice((1_000, 3_000))))
        return put(f"SELECT Id FROM Account WHERE {dice.choice(('Id', 'Name', 'Industry', 'CreatedDate'))} IN ({listed})")
    words = re.findall(r"\w+|'[^']*'|\s+|.", soql) or [""]
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(words))
        kind = dice.randrange(5)
        if kind == 0 and len(words) > 1:
            del words[at]
        elif kind == 1:
            words.insert(at, words[at])
        elif kind == 2:
            words[at] = dice.choice((*TEXTS[:40], "\x0b", "\u2028"))
        elif kind == 3:
            words.insert(at, f" {dice.choice(WORDS)} ")
        else:
            words[at] = dice.choice(WORDS)
    return put("".join(words))


def _soql(request: Request) -> tuple[str, Callable[[str], Request]] | None:
    """The query in a request, and how to put another one there."""
    target = re.search(r"(?<=[?&])(?:q|explain)=([^&]*)", request.target)
    if target:
        head, tail = request.target[: target.start(1)], request.target[target.end(1) :]

        def into_target(soql: str) -> Request:
            return replace(request, target=head + quote(soql, errors="surrogatepass") + tail)

        return unquote_plus(target[1], errors="replace"), into_target
    text = request.body.decode(errors="replace")
    inside = re.search(r"(?<=<queryString>)[^<]*|(?<=\"query\": \")[^\"]*|\ASELECT[^\n]*", text)
    if inside is None:
        return None

    def into_body(soql: str) -> Request:
        is_json, is_xml = text.startswith("{"), text.startswith("<")
        plain = soql.encode(errors="replace").decode()
        written = json.dumps(soql)[1:-1] if is_json else escape(plain) if is_xml else plain
        return replace(request, body=(text[: inside.start()] + written + text[inside.end() :]).encode())

    return unescape(inside[0]), into_body


def _text(dice: Random) -> str:
    return dice.choice(TEXTS)


def _value(dice: Random) -> Any:
    return dice.choice((*VALUES, *TEXTS))


def _torn(dice: Random, body: bytes) -> bytes:
    at = dice.randrange(len(body)) if body else 0
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: body[:at],
        lambda: body[at:],
        lambda: body[:at] + dice.randbytes(dice.randrange(1, 6)) + body[at + 1 :],
        lambda: body + body,
        lambda: b"",
        lambda: body[:at] + b" " * 300_000 + body[at:],
        lambda: dice.randbytes(200),
    )
    return dice.choice(ways)()


def _change_pairs(dice: Random, pairs: list[tuple[str, str]]) -> None:
    way = dice.randrange(4)
    if way == 0 or not pairs:
        pairs.append((dice.choice(PARAMETERS), _text(dice)))
        return
    at = dice.randrange(len(pairs))
    if way == 1:
        del pairs[at]
    elif way == 2:
        pairs.append((pairs[at][0], _text(dice)))
    else:
        pairs[at] = (pairs[at][0], _text(dice))


def _changed(dice: Random, value: Any) -> Any:
    """The JSON value with one thing in it that is another, new or gone."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(sorted(value))
        way = dice.randrange(6)
        if way == 0:
            return {key: one for key, one in value.items() if key != name}
        if way == 1:
            return {**value, _text(dice): _value(dice)}
        if way == 2:
            return {(_text(dice) if key == name else key): one for key, one in value.items()}
        return {**value, name: _changed(dice, value[name])}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        way = dice.randrange(5)
        if way == 0:
            return value[:at] + value[at + 1 :]
        if way == 1:
            return value + value[at : at + 1] * dice.choice((1, 250))
        return [_changed(dice, one) if place == at else one for place, one in enumerate(value)]
    return _value(dice)
