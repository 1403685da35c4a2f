"""The gate between Salesforce and our error tree: broken connections, error replies, refused logins.

Nothing above this module catches the HTTP library's exceptions or reads an error body. Two facts steer repeats:
`facts["in_doubt"]` is True when the request may have been carried out although no good answer came, and
`facts["permanent"]` when the very same request cannot succeed.
"""

from __future__ import annotations

import email.utils
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape

import httpx2

from halocline.errors import (
    AccessDenied,
    BadQuery,
    FixConfig,
    HaloclineError,
    JobFailed,
    LoginRefused,
    NetworkFailed,
    NotFound,
    QuotaExhausted,
    RejectRecord,
    RetryLater,
    Stop,
    Truncated,
)
from halocline.hiding import hidden, quiet, scrub

DAILY_WAIT_S = 3600.0  # daily limits are rolling 24-hour windows: an hour frees about a twenty-fourth of them
_PAGE_CHARS = 65_536  # of a page that came in place of data
_SURE_CHARS = 8  # of a secret that no word of JSON or XML can be, so that it is taken out before a body is read as such

# Source of the codes: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer Guide, "ExceptionCode";
# Bulk API 2.0 and Bulk API Developer Guide, "Errors" (InvalidSessionId and its kin). Read November 2026.
EXPIRED = frozenset({"INVALID_SESSION_ID", "InvalidSessionId", "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT"})

_TROUBLE = "If it lasts, look at status.salesforce.com, or at the proxy in between."
_API_USER = "The user needs the permission 'API Enabled' and an edition that has the API."
_SEE = "Check the spelling, and that the user may see it (field-level security, object permissions)."
_HINTS: Mapping[type[HaloclineError], Mapping[str, str]] = {
    LoginRefused: dict.fromkeys(EXPIRED, "Log in again; if it comes back at once, check that instance_url is this login's own."),
    QuotaExhausted: dict.fromkeys(
        ("REQUEST_LIMIT_EXCEEDED", "ExceededQuota", "EXCEEDEDQUOTA", "LIMIT_EXCEEDED"),  # both spellings are in use (unverified)
        "Setup > Company Information shows what is left; try again later.",
    ),
    RetryLater: {
        "UNABLE_TO_LOCK_ROW": "Another change holds the row; try again.",
        "QUERY_TIMEOUT": "The query ran too long; narrow it, or let it run through the Bulk API.",
        "SERVER_UNAVAILABLE": "",
        "UNKNOWN_EXCEPTION": "If it lasts, give the ErrorId to Salesforce Support.",
        "Timeout": "",
        "TooManyLockFailure": "",
        "Unknown": "",
    },
    AccessDenied: {
        "API_DISABLED_FOR_ORG": _API_USER,
        "API_CURRENTLY_DISABLED": _API_USER,
        "FEATURENOTENABLED": "The feature is not switched on in this org, or not for this user.",
        "FeatureNotEnabled": "The feature is not switched on in this org, or not for this user.",
        "INSUFFICIENT_ACCESS": "Ask an administrator for the right to read this object.",
        "INSUFFICIENT_ACCESS_OR_READONLY": "Ask an administrator for the right.",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "Ask an administrator for the right on the related record.",
        "OPERATION_TOO_LARGE": "The user needs 'View All Data', or a narrower query.",
    },
    NotFound: {
        "NOT_FOUND": _SEE,
        "NotFound": _SEE,
        "INVALID_TYPE": _SEE,
        "INVALID_FIELD": _SEE,
        "ENTITY_IS_DELETED": "The record lies in the recycle bin.",
    },
    Truncated: {"INVALID_QUERY_LOCATOR": "The query's cursor is gone (ten open at a time, two days); run again."},
    JobFailed: dict.fromkeys(("InvalidJobState", "INVALIDJOBSTATE", "InvalidJob", "InvalidBatch", "ClientInputError"), ""),
    FixConfig: {
        "UNSUPPORTED_API_VERSION": "Set version to one that this org supports (its /services/data lists them).",
        "InvalidVersion": "Set version to one that this org supports (its /services/data lists them).",
    },
    BadQuery: dict.fromkeys(
        (
            "MALFORMED_QUERY",
            "INVALID_QUERY_FILTER_OPERATOR",
            "INVALID_TYPE_FOR_OPERATION",
            "INVALID_ID_FIELD",
            "MALFORMED_ID",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "QUERY_TOO_COMPLICATED",
            "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION",
            "INVALID_REPLICATION_DATE",
            "EXCEEDED_ID_LIMIT",
            "JSON_PARSER_ERROR",
            "INVALIDENTITY",
            "InvalidEntity",
            "API_ERROR",
        ),
        "",
    ),
}
# What is wrong with one record, not with the login or the settings. Source: SOAP API Developer Guide, "StatusCode".
_RECORD_CODES = frozenset(
    {
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "DELETE_FAILED",
        "DEPENDENCY_EXISTS",
        "DUPLICATES_DETECTED",
        "DUPLICATE_EXTERNAL_ID",
        "DUPLICATE_VALUE",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "INACTIVE_OWNER_OR_USER",
        "INVALID_CROSS_REFERENCE_KEY",
        "INVALID_EMAIL_ADDRESS",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "MISSING_ARGUMENT",
        "REQUIRED_FIELD_MISSING",
        "STRING_TOO_LONG",
    }
)
_KIND = {code: kind for kind, hints in _HINTS.items() for code in hints}
_TOO_LONG = "URL and headers may hold 16,384 bytes; take fewer fields, or shorten the condition."
_BY_STATUS: Mapping[int, tuple[type[HaloclineError], str]] = {
    401: (LoginRefused, "Log in again."),
    403: (AccessDenied, "Ask an administrator for the right."),
    404: (NotFound, _SEE),
    408: (RetryLater, ""),
    409: (JobFailed, "A job's results must be asked for with the API version that created it."),
    410: (FixConfig, "Set version to one that this org supports (its /services/data lists them)."),
    414: (BadQuery, _TOO_LONG),
    420: (RetryLater, ""),
    429: (RetryLater, ""),
    431: (BadQuery, _TOO_LONG),
}
_LOGIN_HINTS = (
    (
        "request not supported on this domain",
        "This flow needs the org's My Domain as login_url (https://<name>.my.salesforce.com).",
    ),
    ("no client credentials user", "Choose a 'Run As' user in the app's client credentials policy."),
    (
        "hasn't approved this consumer",
        "Pre-authorize the user: in the app's policies, admin-approved users and a permission set.",
    ),
    ("audience", "login_url must be the audience: login.salesforce.com, test.salesforce.com for a sandbox, or My Domain."),
    ("expired access/refresh token", "The refresh token was revoked or has run out; let the user authorize the app again."),
    ("invalid_client_id", "Check the client id (SF_CLIENT_ID) and the host: a sandbox's app is unknown at login.salesforce.com."),
    ("client identifier invalid", "Check the client id (SF_CLIENT_ID) and the host; a new app needs some minutes to be known."),
    ("invalid client credentials", "The client secret (SF_CLIENT_SECRET) is wrong, expired or was rotated."),
    ("invalid_client", "The client secret (SF_CLIENT_SECRET) is wrong, expired or was rotated."),
    ("invalid assertion", "The private key does not fit the certificate of the app, or this machine's clock is wrong."),
    ("inactive", "The user or the org is inactive."),
    ("unsupported_grant_type", "The org or the app does not allow this flow."),
    ("ip restricted", "This machine's address is outside the ranges that the profile or the app allows."),
    (
        "authentication failure",
        "Check user name, password, security token and host (a sandbox's is test.salesforce.com); newer orgs block this flow.",
    ),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error body says: Salesforce's code (None where it gave none), its message, the fields it names."""

    code: str | None
    message: str
    fields: tuple[str, ...] = ()


def problem(content: bytes, secrets: tuple[str, ...] = ()) -> Problem:
    """What an error body says, whichever dialect it is in: REST's array, OAuth's or Bulk's object, XML, HTML, bare text.

    A server that is broken may repeat what it was asked: `secrets` are not in what is said.
    """
    text = hidden(content[:1_000_000].decode("utf-8", "replace"), (one for one in secrets if len(one) >= _SURE_CHARS))
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return _markup(text[:_PAGE_CHARS], secrets)
    entries = said if isinstance(said, list) else [said]
    found = [entry for entry in entries if isinstance(entry, dict)]
    return _entries(found, secrets) if found else Problem(None, scrub(text, secrets))


def refusal(
    doing: str, status: int, *, headers: Mapping[str, str], content: bytes, host: str, secrets: tuple[str, ...] = ()
) -> HaloclineError:
    """The error for a reply that was not accepted; `host` is named where the host may be the mistake; `secrets` are what was
    sent, kept out of it.
    """
    said = problem(content, secrets)
    kind, hint = _judge(status, said)
    cause = scrub(f"{said.code or f'HTTP {status}'}: {_paragraph(said.message) or 'no message'}", secrets)
    if kind is QuotaExhausted:
        wait_s = _quota_wait(said.message)
        return QuotaExhausted(doing, cause, hint=hint, code=said.code, after_s=wait_s, status=status, host=host)
    if kind is RetryLater:
        # a lock or a time-out is Salesforce's word that nothing was done; a 5xx may come from a proxy that lost the answer
        doubt = status >= 500 or (status != 429 and said.code is None)
        wait_s = retry_after(headers)
        return RetryLater(doing, cause, hint=hint, code=said.code, after_s=wait_s, status=status, host=host, in_doubt=doubt)
    if said.code in _RECORD_CODES:
        return RejectRecord(doing, cause, row=0, code=said.code, status=status, host=host, fields=said.fields)
    hint = _host_hint(host) or _redirect_hint(status, headers) or hint
    return kind(doing, cause, hint=hint, code=said.code, status=status, host=host, fields=said.fields)


def login_refusal(
    doing: str, status: int, *, headers: Mapping[str, str], content: bytes, host: str, secrets: tuple[str, ...]
) -> HaloclineError:
    """The error for a login that was not accepted; `secrets` are what was sent, kept out of the message."""
    said = problem(content, secrets)
    cause = scrub(f"{said.code or f'HTTP {status}'}: {_paragraph(said.message) or 'no message'}", secrets)
    if status >= 500 or status == 429 or said.code == "rate_limit_exceeded":
        wait_s, doubt = retry_after(headers), status >= 500
        return RetryLater(doing, cause, code=said.code, after_s=wait_s, status=status, host=host, in_doubt=doubt)
    told = f"{said.code} {said.message}".lower()
    hint = next((hint for sign, hint in _LOGIN_HINTS if sign in told), "") or _redirect_hint(status, headers)
    return LoginRefused(doing, cause, hint=_host_hint(host) or hint, code=said.code, status=status, host=host)


@contextmanager
def network(doing: str, host: str, *, doubt: bool | None = None) -> Iterator[None]:
    """Turn the HTTP library's exceptions into NetworkFailed.

    `doubt` becomes `facts["in_doubt"]`; None: False where the connection was never made, else True.
    """
    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise FixConfig(
            doing, f"{host} is not an address that can be called", hint="Check login_url and instance_url."
        ) from quiet(error)
    except httpx2.RequestError as error:
        raise _broken(doing, host, error=error, doubt=doubt) from quiet(error)
    except OSError as error:
        raise NetworkFailed(doing, f"{host}: {error}", host=host, in_doubt=doubt is not False) from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a `Retry-After` header asks for (a number, or a date held against the reply's own), or None.

    Source: RFC 9110, section 10.2.3. Whether Salesforce ever sends it is unverified; proxies do.
    """
    told = headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told)
    until, now = http_date(told), http_date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def http_date(text: str) -> datetime | None:
    """The aware UTC instant of an HTTP date header, or None."""
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _entries(found: list[dict[str, object]], secrets: tuple[str, ...]) -> Problem:
    """The first entry's code; the messages of the first three."""
    first = found[0]
    code = next((str(first[key]) for key in ("errorCode", "exceptionCode", "error", "statusCode") if first.get(key)), None)
    messages = [_message(entry) for entry in found[:3]]
    fields = first.get("fields")
    named = tuple(scrub(str(one), secrets) for one in fields) if isinstance(fields, list) else ()
    return Problem(code and scrub(code, secrets), "; ".join(filter(None, messages)), named)


def _paragraph(message: str) -> str:
    """The message on one line; the caret that points into a query's line goes, for it would point nowhere."""
    lines = (line.strip() for line in message.splitlines())
    return " ".join(line for line in lines if line not in ("", "^"))


def _message(entry: Mapping[str, object]) -> str:
    keys = ("message", "exceptionMessage", "error_description", "errorMessage")
    return next((str(entry[key]) for key in keys if entry.get(key)), "")


def _markup(text: str, secrets: tuple[str, ...]) -> Problem:
    """The code and message of an XML error, or the readable words of an HTML page."""
    code = re.search(r"<(?:\w+:)?exceptionCode>([^<]*)<", text)
    message = re.search(r"<(?:\w+:)?exceptionMessage>([^<]*)<", text)
    if code:
        return Problem(scrub(code[1], secrets), unescape(message[1]) if message else "")
    # What is opened and never closed goes to the end, so that no text is looked through twice.
    bare = re.sub(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)|<[^>]*(?:>|\Z)", " ", text)
    return Problem(None, " ".join(unescape(bare).split()))


def _judge(status: int, said: Problem) -> tuple[type[HaloclineError], str]:
    """The branch of the tree, and the hint: by code, else by status."""
    code = said.code or ""
    if code == "INVALID_FIELD" and re.search(r"can ?not be|must (not )?be|unexpected", said.message):
        return BadQuery, ""  # the field exists, but may not be used in that way
    if code in _KIND:
        return _KIND[code], _HINTS[_KIND[code]][code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return RetryLater, _TROUBLE
    return (FixConfig, "") if status >= 300 else (Stop, "")


def _quota_wait(message: str) -> float | None:
    """None for a limit on calls at one time, which passes by itself; an hour for a limit on calls a day."""
    return None if "concurrent" in message.lower() else DAILY_WAIT_S


def _host_hint(host: str) -> str:
    """What to say when the host is one that people copy from the browser and that has no API."""
    if not host.endswith(".lightning.force.com"):
        return ""
    name = host.removesuffix(".lightning.force.com")
    return f"{host} is the browser's address and has no API; use https://{name}.my.salesforce.com."


def _redirect_hint(status: int, headers: Mapping[str, str]) -> str:
    """Where a redirect points; it is not followed, for the token would go with it."""
    if not 300 < status < 400 or "location" not in headers:
        return ""
    target = httpx2.URL(headers["location"]).host
    return f"The host answers with a redirect to {target}; redirects are not followed. Set the right address."


def _broken(doing: str, host: str, *, error: httpx2.RequestError, doubt: bool | None) -> NetworkFailed:
    """What a broken connection means, in words."""
    if doubt is None:
        unsent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
        doubt = not isinstance(error, unsent)
    roots = list(_chain(error))
    permanent = any(isinstance(root, ssl.SSLCertVerificationError) for root in roots)
    words, hint = next(
        ((words, hint) for sign, words, hint in _ROOTS if any(map(sign, roots))), (scrub(str(error)) or type(error).__name__, "")
    )
    return NetworkFailed(doing, f"{host} {words}", hint=hint, host=host, in_doubt=doubt, permanent=permanent)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is(*kinds: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, kinds)


_ROOTS: tuple[tuple[Callable[[BaseException], bool], str, str], ...] = (
    (_is(socket.gaierror), "is not known to the name service", "Check the address, and that this machine has a network."),
    (
        _is(ssl.SSLCertVerificationError),
        "shows a TLS certificate that this machine does not trust",
        "Behind a company proxy, point SSL_CERT_FILE at its certificate.",
    ),
    (_is(ssl.SSLError), "did not complete the TLS handshake", "Check that the address speaks https."),
    (_is(ConnectionRefusedError), "refused the connection", "Check the address and port, and that it is running."),
    (_is(httpx2.ConnectTimeout), "did not answer in time (connecting)", "Check the network, a firewall or a proxy."),
    (_is(httpx2.ReadTimeout), "sent nothing for too long", "Try again; a slow query is better off in the Bulk API."),
    (_is(httpx2.TimeoutException), "took too long", "Try again."),
    (_is(httpx2.ProxyError), "could not be reached through the proxy", "Check HTTPS_PROXY and NO_PROXY."),
    (_is(httpx2.RemoteProtocolError), "broke off in the middle of its answer", "Try again."),
    (_is(ConnectionResetError, BrokenPipeError), "cut the connection", "Try again."),
)
