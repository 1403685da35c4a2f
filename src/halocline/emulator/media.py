"""The languages that REST speaks here: JSON only. Others are refused with the status that Salesforce has for it.

Salesforce also speaks XML; a client that wants nothing else must learn at once that this emulator does not.
"""

from __future__ import annotations

import re

from halocline.emulator.errors import ApiError
from halocline.emulator.wire import Ask

# The Bulk resources have types of their own.
_REST = re.compile(r"/services/data/v[^/]+/(?!jobs(?:/|\Z))", re.IGNORECASE)
_JSON = frozenset({"application/json", "application/*", "*/*", "*"})


def check_media(ask: Ask) -> None:
    """Whether the request's body and the answer that it wants can be JSON; a missing header leaves the choice to the server.

    Raises: ApiError 415 or 406. Source: REST API Developer Guide, "Status Codes and Error Responses", for 415; the message is the
    service's own, its code as several clients quote it. The words of 406 are unverified.
    """
    if not _REST.match(ask.path):
        return
    sent = _type(ask.headers.get("content-type", ""))
    if ask.body and ask.method in ("POST", "PUT", "PATCH") and sent and sent != "application/json":
        message = f"Content-Type header specified in HTTP request is not supported: {ask.headers['content-type']}"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    wanted = [_type(one) for one in ask.headers.get("accept", "").split(",") if one.strip()]
    if ask.method == "GET" and wanted and not _JSON.intersection(wanted) and not _may_be_content(ask.path):
        message = f"Accept header specified in HTTP request is not supported: {ask.headers['accept']}"
        raise ApiError(406, "NOT_ACCEPTABLE", message)


def _type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _may_be_content(path: str) -> bool:
    """Whether the path may lead to the content of a file, which has its own type."""
    return re.search(r"/sobjects/[^/]+/[^/]+/[^/]+\Z", path, re.IGNORECASE) is not None
