"""The requests inside a composite request or a graph: as they are sent, as they are done, as they are answered.

Source: REST API Developer Guide, "Composite Subrequest" and "Composite Subrequest Result".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.emulator.composite.references import References
from halocline.emulator.dispatch import performed
from halocline.emulator.errors import ApiError, malformed_json
from halocline.emulator.members import Members
from halocline.emulator.records import writer
from halocline.emulator.wire import JSON_TYPE, Answer, Ask

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
STRICT_IDS_SINCE = 52.0  # API version from which one bad reference id refuses the whole request
ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."
_REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_OWN_HEADERS = ("accept", "authorization", "content-type")  # only the enclosing request may name them
_COLLECTION = re.compile(r"/services/data/v[^/]+/composite/sobjects(?:[/?]|\Z)", re.IGNORECASE)
_QUERY = re.compile(r"/services/data/v[^/]+/query(?:all)?(?:[/?]|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Subrequest:
    """One request inside another."""

    method: str
    url: str
    reference_id: str
    body: object
    headers: Mapping[str, str]

    @property
    def is_collection(self) -> bool:
        """Whether it asks the sObject Collections resource."""
        return _COLLECTION.match(self.url) is not None

    @property
    def is_query(self) -> bool:
        """Whether it is a query."""
        return _QUERY.match(self.url) is not None


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one of them."""

    status: int
    body: object
    headers: Mapping[str, str]
    reference_id: str | None

    @property
    def failed(self) -> bool:
        """Whether an all-or-none request is undone for it: refused, or a collection with a refused record."""
        rows = self.body if isinstance(self.body, list) else []
        return self.status >= 400 or any(isinstance(row, dict) and row.get("success") is False for row in rows)

    def as_json(self) -> dict[str, object]:
        """As the enclosing answer lists it."""
        return {
            "body": self.body,
            "httpHeaders": dict(self.headers),
            "httpStatusCode": self.status,
            "referenceId": self.reference_id,
        }


def subrequests(values: Sequence[object], *, version: str) -> list[Subrequest]:
    """The requests that a client sent.
    Raises: ApiError(400) for one that is not well formed: nothing is done then. Words about the method, the URL, a header and
    an id given twice are unverified; those about a bad id are quoted in guardian/support-service-lambdas#1512.
    """
    read = [_subrequest(value) for value in values]
    ids = [one.reference_id for one in read]
    bad = next((one for one in ids if not _REFERENCE_ID.fullmatch(one)), None)
    if bad is not None and float(version) >= STRICT_IDS_SINCE:
        raise malformed_json(
            f"Provided referenceId ('{bad}') must start with a letter or a number, and it can contain only letters, numbers and "
            "underscores ('_')."
        )
    if len(set(ids)) < len(ids):
        raise ApiError(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request.")
    return read


def each_for_itself(ask: Ask, requests: Sequence[Subrequest]) -> list[Result]:
    """Every request done in order; what depends on one that failed fails too."""
    references = References(ask.version)
    return [_done(ask, one, references) for one in requests]


def all_or_none(ask: Ask, requests: Sequence[Subrequest]) -> list[Result]:
    """All requests done as one transaction, or nothing: then the one that failed says why, the others that they were undone."""
    try:
        with writer(ask).alone(), ask.org.store.database.together():
            return _done_until_failure(ask, requests)
    except _Undone as undone:
        return [undone.failed if at == undone.at else halted(one) for at, one in enumerate(requests)]


def _done_until_failure(ask: Ask, requests: Sequence[Subrequest]) -> list[Result]:
    references = References(ask.version)
    results: list[Result] = []
    for at, one in enumerate(requests):
        results.append(_done(ask, _strict(one), references))
        if results[-1].failed:
            raise _Undone(at, results[-1])
    return results


def halted(request: Subrequest, message: str = ROLLED_BACK) -> Result:
    """The answer to a request that was undone, or never done."""
    return refused("PROCESSING_HALTED", message, reference_id=request.reference_id)


def refused(code: str, message: str, *, reference_id: str | None = None) -> Result:
    """The answer to a request that never reached its resource."""
    return Result(400, [{"errorCode": code, "message": message}], {}, reference_id)


class _Undone(Exception):
    """Ends a transaction in which the request number `at` failed."""

    def __init__(self, at: int, failed: Result) -> None:
        super().__init__(at)
        self.at = at
        self.failed = failed


def _subrequest(value: object) -> Subrequest:
    members = Members.of(value, ("body", "httpHeaders"), required=("method", "url", "referenceId"))
    method, url, headers = members.text("method"), members.text("url"), members.text_map("httpHeaders")
    if method not in METHODS:
        raise malformed_json(f"Invalid value for method: {method}")
    if not url.lower().startswith("/services/data/v"):
        raise malformed_json(f"Invalid url: '{url}'. The URL must start with /services/data/vXX.X/")
    own = next((name for name in headers if name.lower() in _OWN_HEADERS), None)
    if own is not None:
        raise ApiError(400, "INVALID_HTTP_HEADER", f"The header {own} cannot be specified in a subrequest")
    return Subrequest(method, url, members.text("referenceId"), members.values.get("body"), headers)


def _strict(request: Subrequest) -> Subrequest:
    """A collection inside an all-or-none request is all-or-none itself.
    Source: REST API Developer Guide, "allOrNone Parameters in Composite and Collections Requests".
    """
    if not request.is_collection or request.method == "GET":
        return request
    if request.method == "DELETE":
        joint = "&" if "?" in request.url else "?"
        url = request.url + joint + "allOrNone=true"  # of a parameter given twice the last counts
        return Subrequest(request.method, url, request.reference_id, request.body, request.headers)
    body = request.body
    if isinstance(body, dict) and "records" in body:
        body = {**body, "allOrNone": True}
    return Subrequest(request.method, request.url, request.reference_id, body, request.headers)


def _done(ask: Ask, request: Subrequest, references: References) -> Result:
    try:
        url, body = references.filled_url(request.url), references.filled(request.body)
        answer = performed(ask, method=request.method, url=url, body=body, headers=request.headers)
        result = Result(answer.status, answer_body(answer), dict(answer.headers), request.reference_id)
    except ApiError as refusal:
        return refused(refusal.code, refusal.message, reference_id=request.reference_id)
    references.bodies[request.reference_id] = result.body
    return result


def answer_body(answer: Answer) -> object:
    """The JSON of an answer, None where it has no body.
    Raises: ApiError(400) for a binary body. Source: "Send Multiple Requests Using Composite", which excludes sObject Blob Get.
    """
    text = b"".join(answer.chunks())
    if text and answer.content_type != JSON_TYPE:
        raise ApiError(400, "INVALID_INPUT", "Binary data cannot be retrieved in a subrequest")
    return json.loads(text) if text else None
