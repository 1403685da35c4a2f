"""`/composite/batch`: up to 25 requests in one that do not know of each other.

Source: REST API Developer Guide, "Composite Batch", "Batch Request Body", "Batch Response Body".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from halocline.emulator.composite.subrequests import METHODS, answer_body
from halocline.emulator.dispatch import performed
from halocline.emulator.errors import ApiError, malformed_json
from halocline.emulator.members import Members
from halocline.emulator.wire import Answer, Ask, json_answer

SINCE = 34  # API version. Source: Summer '15 Release Notes, "REST API", "New Resources"
MOST_REQUESTS = 25
_VERSIONED = re.compile(r"/?(?:services/data/)?(v[^/]+/.*)", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(r"v(\d+\.\d)/", re.IGNORECASE)
_SUPPORTED = re.compile(
    r"v[^/]+/(?:sobjects|query|queryall|search|parameterizedsearch|limits|connect|chatter|actions)(?:[/?]|\Z)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request of a batch; `url` begins with the version."""

    method: str
    url: str
    body: object


def perform(ask: Ask) -> Answer:
    """`POST /composite/batch`: 200 with status and result of every request; each counts as an API request.

    After a failure `haltOnError` answers the rest with 412; the words of that are unverified, status and code are the guide's.
    """
    body = Members.of(ask.json(), ("haltOnError",), required=("batchRequests",))
    requests = [_request(value, most=float(ask.version)) for value in body.array("batchRequests")]
    if len(requests) > MOST_REQUESTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The request can\u2019t contain more than {MOST_REQUESTS} operations.")
    results: list[dict[str, object]] = []
    failed = False
    for one in requests:
        halted = failed and body.flag("haltOnError")
        status, result = (412, [_HALTED]) if halted else _done(ask, one)
        failed = failed or status >= 400
        results.append({"statusCode": status, "result": result})
    return json_answer({"hasErrors": failed, "results": results})


_HALTED = {
    "errorCode": "BATCH_PROCESSING_HALTED",
    "message": "Batch processing halted: a previous request was unsuccessful and haltOnError is true.",
}


def _request(value: object, *, most: float) -> _Request:
    """A request as a client wrote it; of version `most`, the batch's, or of an earlier one that has batches.

    Source: REST API Developer Guide, "Composite Batch": "no earlier than 34.0 and no later than the Batch version". How
    Salesforce refuses another one is unverified; what is no version answers for itself.
    Raises: ApiError(400).
    """
    members = Members.of(value, ("richInput",), required=("method", "url"))
    method, url = members.text("method").upper(), _VERSIONED.fullmatch(members.text("url"))
    if method not in METHODS:
        raise malformed_json(f"Invalid value for method: {method}")
    if url is None or not _SUPPORTED.match(url[1]):
        raise ApiError(400, "INVALID_BATCH_REQUEST_URL", f"The url is not supported in a batch: {members.text('url')}")
    if (version := _NUMBERED.match(url[1])) and not SINCE <= float(version[1]) <= most:
        raise ApiError(400, "INVALID_BATCH_REQUEST_URL", f"The version is not one of {SINCE}.0 to {most}: {url[0]}")
    return _Request(method, f"/services/data/{url[1]}", members.values.get("richInput"))


def _done(ask: Ask, request: _Request) -> tuple[int, object]:
    try:
        answer = performed(ask, method=request.method, url=request.url, body=request.body, counted=True)
        return answer.status, answer_body(answer)
    except ApiError as refusal:
        return refusal.status, refusal.body()
