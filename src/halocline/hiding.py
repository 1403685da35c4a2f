"""Hiding: what somebody else's system says, without our secrets, in whatever notation it repeats them.

Servers that are broken, proxies and drivers repeat what they were asked, and messages go to logs, ledgers and colleagues.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHOWN_CHARS = 600  # of another system's message: room for SOQL's context lines, short enough to read
_LOOKED_AT_CHARS = 8 * SHOWN_CHARS  # what is looked through, so that no secret is cut in two where it is told
_SHORTEST = 4  # a shorter secret is in every other word, and to hide it would tell where
_LONG = 12  # characters of a part that is no word of anybody's
_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BETWEEN = re.compile(r"[^\w-]+")

# What is a secret by its looks: session ids and JWTs, what stands in `Authorization`, what AWS, Google and Azure sign links
# with, and the login in a URL.
# Source: Salesforce Help, "OAuth 2.0 Web Server Flow"; RFC 7519; RFC 9110, section 11.6.2; RFC 3986, section 3.2.1;
# "Authenticating requests: query parameters", https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
# "Create a service SAS", https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas.
# That session tokens of AWS and Snowflake begin with these letters is not documented (the latter as connector 4.8 sends them).
_SHAPES = re.compile(
    r"00D\w{12,15}![\w.+/=-]+|eyJ[\w-]{8,2000}\.[\w.-]+|(?i:\bbearer)\s+\S+|(?i:\bbasic)\s+(?=[\w+/]*[0-9=])[\w+/=]{8,}"
    r"|\b(?:IQoJ|FwoG|FQoG|AQoD)[\w+/=%-]{40,}"
    r"|(?i:\bsnowflake\s+token=)\S+|\bver:\d{1,9}-hint:[\w:+/=-]+|(?<=[?&])sig=[\w%+/=-]{16,}"
    r"|(?i:x-amz-security-token)[=:\"'\s]{1,5}[^\s&\"'<,]+|(?i:\b(?:x-amz-)?signature)=[0-9A-Za-z%+/=]{16,}"
    r"|(?<=://)[^/\s@]{1,2000}@"
)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """`text` with `***` in place of each secret, as it is, or as URLs, forms, JSON, XML, Python and base64 write it."""
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def scrub(text: str, secrets: Sequence[str] = ()) -> str:
    """As `hidden`, and without what has the looks of a secret, or is half of one of these; cut to a readable length."""
    text = hidden(text, (secret for secret in secrets if len(secret) > SHOWN_CHARS))  # a key may be longer than what is looked at
    text = hidden(_SHAPES.sub(HIDDEN, text[:_LOOKED_AT_CHARS]), secrets)
    parts = (part for secret in secrets for part in _BETWEEN.split(secret) if len(part) >= _LONG)
    return hidden(text, parts)[:SHOWN_CHARS]


def visible(text: str) -> str:
    """`text` with characters that a terminal or a log obeys (escape, backspace, marks of direction) as Python writes them; line
    ends stay.
    """
    return text if text.isprintable() else _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """As `visible`, and line ends too: a name that holds one adds no line that nobody wrote."""
    return visible(text).replace("\n", "\\n")


def quiet(error: BaseException, secrets: Sequence[str] = ()) -> BaseException | None:
    """The error to raise another one from; None where it, or what it came from, tells a secret: a traceback would show it."""
    one: BaseException | None = error
    while one is not None:
        said = str(one)
        if hidden(said, secrets) != said or _SHAPES.search(said[:_LOOKED_AT_CHARS]):
            return None
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return error


def password_tried(error: Any) -> tuple[str, ...]:
    """The password that the connection of a psycopg error had logged in with, if it got that far."""
    word = getattr(getattr(error, "pgconn", None), "password", b"")
    return (word.decode("utf-8", "replace"),) if word else ()


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield " ".join(secret.split())  # white space is folded where a message is made one line
    for as_url in (quote(secret, safe=""), quote(secret), quote_plus(secret), quote(secret, safe="/~:!$&'()*+,;=@")):
        yield as_url
        yield as_url.replace("%", "%25")
    yield from (
        escape(secret),
        escape(secret, quote=False),
        escape(secret).replace("&#x27;", "&apos;").replace("&quot;", "&#34;"),
    )
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw.decode("latin-1")  # bytes that were taken for Latin-1
    yield from _base64(raw)


def _base64(raw: bytes) -> Iterator[str]:
    """The part of it that is the same wherever the secret stands within what was encoded."""
    for skip in range(3):
        rest = raw[skip:]
        whole = base64.b64encode(rest[: len(rest) // 3 * 3]).decode()
        if len(whole) >= 2 * _SHORTEST:
            yield whole
            yield whole.replace("+", "-").replace("/", "_")
