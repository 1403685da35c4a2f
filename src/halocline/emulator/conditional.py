"""Requests that are only done if something has changed, or has not.

Source: REST API Developer Guide, "Conditional Request Headers": entity tags for rows of Account, dates for rows and describes,
304 for reads, 412 for writes, 400 for a header that cannot be read on a write, nothing at all for DELETE.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from halocline.emulator.errors import ApiError
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.wire import Answer, Ask, Headers, empty_answer

Work = Callable[[Ask], Answer]
TAGGED = "Account"  # the only object whose rows have entity tags
_HEADERS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_TAGS = re.compile(r'\s*(?:\*|(?:W/)?"[^"]*"(?:\s*,\s*(?:W/)?"[^"]*")*)\s*')
_CODINGS = re.compile(r"-+gzip\Z")  # Salesforce marks the tag of a compressed answer; both mean the same record


def describe(work: Work) -> Work:
    """The worker of a describe, which answers 304 while the org's shape is what it was at `If-Modified-Since`."""

    def conditional(ask: Ask) -> Answer:
        shaped = ask.org.shaped_at.replace(microsecond=0)
        modified = (("Last-Modified", format_datetime(shaped, usegmt=True)),)
        if not _modified_since(ask, shaped):
            return empty_answer(304)
        _check_unmodified(ask, shaped)
        return work(ask).with_headers(*modified)

    return conditional


def row(work: Work) -> Work:
    """The worker of one record's GET or PATCH, which looks at the record before it works."""

    def conditional(ask: Ask) -> Answer:
        if not _HEADERS.intersection(ask.headers):
            answer = work(ask)
        elif ask.method == "PATCH":
            with ask.org.writing:  # nobody changes the record between the look and the write
                answer = _worked(ask, work)
        else:
            answer = _worked(ask, work)
        return answer.with_headers(*_validators(ask, answer))

    return conditional


def _worked(ask: Ask, work: Work) -> Answer:
    state = _state(ask)
    if state is None:
        return work(ask)
    modified, tag = state
    if ask.method != "PATCH" and (_names(ask, "if-none-match", tag) or not _modified_since(ask, modified)):
        return empty_answer(304)
    _check(ask, modified, tag)
    return work(ask)


def _state(ask: Ask) -> tuple[datetime, str] | None:
    """When the record changed, and its tag (empty for objects without tags); None if there is no such record."""
    sobject = ask.org.catalog.get(ask.params["sobject"])
    record_id = ask.params["id"]
    values = ask.org.store.get(sobject, to_18(record_id)) if sobject and is_valid(record_id) else None
    stamp = values and (values.get("LastModifiedDate") or values.get("SystemModstamp"))
    if sobject is None or values is None or not stamp:
        return None
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode(errors="replace")).digest()
    tag = base64.b64encode(digest).decode() if sobject.name == TAGGED else ""
    return datetime.fromisoformat(str(stamp)).astimezone(UTC).replace(microsecond=0), tag


def _validators(ask: Ask, answer: Answer) -> Headers:
    """`ETag` and `Last-Modified` of the record as it is now, with the answer that shows it; the tag also with a change."""
    wanted = answer.status == 200 or (answer.status == 204 and ask.params["sobject"].lower() == TAGGED.lower())
    state = _state(ask) if wanted else None
    if state is None:
        return ()
    modified, tag = state
    dated = (("Last-Modified", format_datetime(modified, usegmt=True)),) if answer.status == 200 else ()
    return (*((("ETag", f'"{tag}"'),) if tag else ()), *dated)


def _check(ask: Ask, modified: datetime, tag: str) -> None:
    """Raises: ApiError 412 if the record is not what the client thinks; its code and words are unverified."""
    if ask.method == "PATCH":
        _check_readable(ask)
    if tag and "if-match" in ask.headers and not _names(ask, "if-match", tag):
        raise _failed("If-Match")
    if ask.method == "PATCH" and _names(ask, "if-none-match", tag):
        raise _failed("If-None-Match")
    _check_unmodified(ask, modified)


def _check_unmodified(ask: Ask, modified: datetime) -> None:
    wanted = _date(ask, "if-unmodified-since")
    if wanted is not None and modified > wanted:
        raise _failed("If-Unmodified-Since")


def _check_readable(ask: Ask) -> None:
    tags = [name for name in ("if-match", "if-none-match") if not _TAGS.fullmatch(ask.headers.get(name, "*"))]
    dates = ["if-unmodified-since"] if "if-unmodified-since" in ask.headers and not _date(ask, "if-unmodified-since") else []
    for name in (*tags, *dates):
        raise ApiError(400, "INVALID_HTTP_HEADER", f"The value of the header {name} is not valid: {ask.headers[name]}")


def _failed(header: str) -> ApiError:
    return ApiError(412, "PRECONDITION_FAILED", f"The precondition of the header {header} does not hold")


def _names(ask: Ask, header: str, tag: str) -> bool:
    """Whether the header's list of tags has this one, or is `*`."""
    value = ask.headers.get(header)
    if value is None or not tag:
        return False
    return value.strip() == "*" or tag in (_CODINGS.sub("", one) for one in _TAG.findall(value))


def _modified_since(ask: Ask, modified: datetime) -> bool:
    wanted = _date(ask, "if-modified-since") if ask.method in ("GET", "HEAD") else None
    return wanted is None or modified > wanted


def _date(ask: Ask, header: str) -> datetime | None:
    """The header's date; one that cannot be read counts as absent, as HTTP has it."""
    try:
        moment = parsedate_to_datetime(ask.headers[header])
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
