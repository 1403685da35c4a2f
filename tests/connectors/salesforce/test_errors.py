"""Where refusals go in the error tree, and what their messages may say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.connectors.salesforce.loopback import CANARY, said

from halocline.connectors.salesforce.errors import http_date, problem, refusal, retry_after
from halocline.errors import (
    AccessDenied,
    BadQuery,
    FixConfig,
    HaloclineError,
    JobFailed,
    LoginRefused,
    NotFound,
    QuotaExhausted,
    RetryLater,
    Stop,
    Truncated,
)
from halocline.hiding import scrub

TABLE: list[tuple[int, object, type[HaloclineError], str | None]] = [
    (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], LoginRefused, "INVALID_SESSION_ID"),
    (
        403,
        [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
        QuotaExhausted,
        "REQUEST_LIMIT_EXCEEDED",
    ),
    (
        403,
        [{"message": "The REST API is not enabled", "errorCode": "API_DISABLED_FOR_ORG"}],
        AccessDenied,
        "API_DISABLED_FOR_ORG",
    ),
    (403, [{"message": "insufficient access rights", "errorCode": "INSUFFICIENT_ACCESS"}], AccessDenied, "INSUFFICIENT_ACCESS"),
    (403, b"", AccessDenied, None),
    (
        400,
        [{"message": "\nSELECT X\nERROR at Row:1:Column:8\nNo such column 'X'", "errorCode": "INVALID_FIELD"}],
        NotFound,
        "INVALID_FIELD",
    ),
    (
        400,
        [{"message": "field 'Description' can not be filtered in a query call", "errorCode": "INVALID_FIELD"}],
        BadQuery,
        "INVALID_FIELD",
    ),
    (
        400,
        [{"message": "value of filter criterion for field 'Industry' must be of type string", "errorCode": "INVALID_FIELD"}],
        BadQuery,
        "INVALID_FIELD",
    ),
    (400, [{"message": "sObject type 'XYZZY' is not supported.", "errorCode": "INVALID_TYPE"}], NotFound, "INVALID_TYPE"),
    (400, [{"message": "unexpected token: 'FORM'", "errorCode": "MALFORMED_QUERY"}], BadQuery, "MALFORMED_QUERY"),
    (400, [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}], Truncated, "INVALID_QUERY_LOCATOR"),
    (
        400,
        [{"message": "Your query request was running for too long.", "errorCode": "QUERY_TIMEOUT"}],
        RetryLater,
        "QUERY_TIMEOUT",
    ),
    (
        400,
        [{"message": "unable to obtain exclusive access", "errorCode": "UNABLE_TO_LOCK_ROW"}],
        RetryLater,
        "UNABLE_TO_LOCK_ROW",
    ),
    (400, [{"message": "Entity 'X' is not supported by the Bulk API.", "errorCode": "INVALIDENTITY"}], BadQuery, "INVALIDENTITY"),
    (400, {"exceptionCode": "InvalidJobState", "exceptionMessage": "no"}, JobFailed, "InvalidJobState"),
    (400, {"exceptionCode": "ExceededQuota", "exceptionMessage": "no"}, QuotaExhausted, "ExceededQuota"),
    (404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], NotFound, "NOT_FOUND"),
    (404, [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}], NotFound, "ENTITY_IS_DELETED"),
    (409, [{"message": "another version", "errorCode": "CONFLICT_OF_SOME_KIND"}], JobFailed, "CONFLICT_OF_SOME_KIND"),
    (410, [{"message": "retired", "errorCode": "UNSUPPORTED_API_VERSION"}], FixConfig, "UNSUPPORTED_API_VERSION"),
    (418, b"short and stout", FixConfig, None),
    (429, b"", RetryLater, None),
    (431, b"<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>", BadQuery, None),
    (
        500,
        [{"message": "An unexpected error occurred. ErrorId: 1", "errorCode": "UNKNOWN_EXCEPTION"}],
        RetryLater,
        "UNKNOWN_EXCEPTION",
    ),
    (502, b"<html>Bad gateway</html>", RetryLater, None),
    (400, [], FixConfig, None),
    (400, ["text"], FixConfig, None),
    (400, b"\xff\xfe\x00", FixConfig, None),
    (302, b"", FixConfig, None),
    (206, b"", Stop, None),
]


@pytest.mark.parametrize(("status", "body", "kind", "code"), TABLE)
def test_each_refusal_has_its_place_in_the_tree(status: int, body: object, kind: type[HaloclineError], code: str | None) -> None:
    """Code first, status second; what was being done, the host and the status are always there."""
    content = body if isinstance(body, bytes) else said(body).body
    error = refusal("Counting Account", status, headers={}, content=content, host="acme.my.salesforce.com")
    assert type(error) is kind
    assert (error.code, error.facts["status"], error.facts["host"]) == (code, status, "acme.my.salesforce.com")
    assert str(error).startswith("Counting Account: ")


def test_a_refusal_keeps_salesforces_words_and_fields() -> None:
    """The vendor's message, of up to three errors, is the cause; fields stay as a fact."""
    many = [{"message": f"m{n}", "errorCode": "REQUIRED_FIELD_MISSING", "fields": ["LastName"]} for n in range(5)]
    error = refusal("Saving", 400, headers={}, content=said(many).body, host="h")
    assert error.cause == "REQUIRED_FIELD_MISSING: m0; m1; m2"
    assert error.facts["fields"] == ("LastName",)


def test_a_refused_query_is_told_in_one_paragraph() -> None:
    """Salesforce's picture of the query, with a caret below it, becomes a sentence."""
    picture = "\nSELECT Nme FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nme'"
    error = refusal(
        "Querying", 400, headers={}, content=said([{"message": picture, "errorCode": "INVALID_FIELD"}]).body, host="x"
    )
    assert error.cause == "INVALID_FIELD: SELECT Nme FROM Account ERROR at Row:1:Column:8 No such column 'Nme'"


def test_a_quota_of_bulk_is_a_quota_in_either_spelling() -> None:
    """ExceededQuota and EXCEEDEDQUOTA both mean: try later."""
    for code in ("ExceededQuota", "EXCEEDEDQUOTA"):
        content = said(
            [{"message": "Max bulk v2 query jobs (10000) per 24 hrs has been reached (10001).", "errorCode": code}]
        ).body
        assert isinstance(refusal("Creating", 400, headers={}, content=content, host="x"), QuotaExhausted)


def test_the_browsers_host_is_recognised() -> None:
    """People copy the address from the browser; the hint names the right one."""
    error = refusal("Describing", 404, headers={}, content=b"", host="acme--dev.sandbox.lightning.force.com")
    assert "use https://acme--dev.sandbox.my.salesforce.com" in error.hint


def test_web_pages_are_read_for_their_words() -> None:
    """Tags, scripts and styles are no message."""
    page = b"<html><script>var a='<b>';</script><style>p{}</style><body><p>Bad&nbsp;Message <b>431</b></p></body></html>"
    assert problem(page).message.split() == ["Bad", "Message", "431"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:20:40 GMT", "date": "Sat, 21 Nov 2026 10:20:30 GMT"}, 10.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:20:20 GMT", "date": "Sat, 21 Nov 2026 10:20:30 GMT"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:20:40 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    """A date is held against the same answer's clock, never against ours."""
    assert retry_after(headers) == seconds


def test_an_http_date_is_an_instant_or_nothing() -> None:
    """What is not a date is None, not an error."""
    assert http_date("Sat, 21 Nov 2026 10:20:30 GMT") == datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
    assert http_date("") is None
    assert http_date("yesterday") is None


def test_scrubbing_takes_out_what_it_is_told_and_what_looks_like_a_token() -> None:
    """The rest of the words stay."""
    text = f"user x, password hunter2, token {CANARY}, jwt eyJhbGciOiJS.eyJpc3MiOiJh.c2ln"
    assert scrub(text, ("hunter2", "")) == "user x, password ***, token ***, jwt ***"
