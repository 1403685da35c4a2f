"""Pages of records that are not what they say: cut short, delivered twice, with a way on that leads astray.

The pages that come in here are good ones, their bodies whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from halocline.emulator.bulk2.locators import locator, offset
from halocline.emulator.wire import Answer, Ask, json_bytes

_QUOTE_OR_LINE_END = re.compile(rb'["\n]')
_LOCATOR = "Sforce-Locator"
_NOWHERE = "01g000000000000AAA-2000"  # well formed; nobody was ever given it
_AFTER_LOCATOR = re.compile(r"(?<=locator=)[^&]*")


def truncated(answer: Answer, *, rows: int | None) -> Answer:
    """A page that ends early and claims to be whole: after `rows` records, None for half of them."""
    if _is_csv(answer):
        body = b"".join(answer.chunks())
        kept = max(count_rows(body) // 2, 0) if rows is None else rows
        return replace(answer, body=b"".join(first_rows((body,), kept)))
    told = _json(answer)
    records = told.get("records", [])
    return _with(answer, {**told, "records": records[: len(records) // 2 if rows is None else rows]}) if records else answer


def duplicated(answer: Answer, ask: Ask) -> Answer:
    """A page whose way on leads to itself; where pages are listed, the first stands there in place of the second."""
    if _is_csv(answer):
        here = ask.query.get("locator") or locator(0)
        return _relocated(answer, here if _next(answer) else None)
    told = _json(answer)
    if pages := told.get("resultPages"):
        return _with(answer, {**told, "resultPages": [*pages[:1], *pages[:1], *pages[2:]] if pages[1:] else pages})
    return _redirected(answer, told, lambda row: row - len(told["records"]))


def astray(answer: Answer, *, rows: int | None) -> Answer:
    """A page whose way on leads nowhere, or so many rows too far."""
    if _is_csv(answer):
        right = _next(answer)
        return _relocated(answer, right and (locator(offset(right) + rows) if rows else "bm93aGVyZQ"))
    told = _json(answer)
    if pages := told.get("resultPages"):
        wrong = "bm93aGVyZQ" if not rows else locator(offset(_locator_in(pages[-1]["resultUrl"])) + rows)
        url = _AFTER_LOCATOR.sub(wrong, pages[-1]["resultUrl"])
        return _with(answer, {**told, "resultPages": [*pages[:-1], {"resultUrl": url}]})
    if rows:
        return _redirected(answer, told, lambda row: min(row + rows, int(told["totalSize"])))
    if "nextRecordsUrl" not in told:
        return answer
    root = told["nextRecordsUrl"].rpartition("/")[0]
    return _with(answer, {**told, "nextRecordsUrl": f"{root}/{_NOWHERE}"})


def first_rows(chunks: Iterable[bytes], rows: int) -> Iterator[bytes]:
    """The header and the first `rows` records of a CSV text, whose quoted values may hold line ends."""
    lines_left, quoted = rows + 1, False
    for chunk in chunks:
        for mark in _QUOTE_OR_LINE_END.finditer(chunk):
            if mark[0] == b'"':
                quoted = not quoted
            elif not quoted:
                lines_left -= 1
                if not lines_left:
                    yield chunk[: mark.end()]
                    return
        yield chunk


def count_rows(text: bytes) -> int:
    """The records of a CSV text with a header."""
    ends, quoted = 0, False
    for mark in _QUOTE_OR_LINE_END.finditer(text):
        if mark[0] == b'"':
            quoted = not quoted
        elif not quoted:
            ends += 1
    return ends - 1


def _is_csv(answer: Answer) -> bool:
    return (answer.content_type or "").startswith("text/csv")


def _json(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(answer.chunks()))
    return found


def _with(answer: Answer, told: dict[str, Any]) -> Answer:
    return replace(answer, body=json_bytes(told))


def _next(answer: Answer) -> str | None:
    """The locator of the next page; None after the last."""
    found = dict(answer.headers).get(_LOCATOR)
    return None if found in (None, "null") else found


def _relocated(answer: Answer, target: str | None) -> Answer:
    if target is None:
        return answer
    return replace(answer, headers=tuple((name, target if name == _LOCATOR else value) for name, value in answer.headers))


def _redirected(answer: Answer, told: dict[str, Any], row: Callable[[int], int]) -> Answer:
    """The page with its `nextRecordsUrl`, whose locator ends in a row number, on another row."""
    if "nextRecordsUrl" not in told:
        return answer
    root, _, at = told["nextRecordsUrl"].rpartition("-")
    return _with(answer, {**told, "nextRecordsUrl": f"{root}-{row(int(at))}"})


def _locator_in(url: str) -> str:
    found = _AFTER_LOCATOR.search(url)
    return found[0] if found else ""
