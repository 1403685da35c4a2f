"""A job's settings and its data in one request.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Create a Job", multipart requests.
"""

from __future__ import annotations

import re
from email.message import Message
from email.parser import HeaderParser

from halocline.emulator.errors import ApiError

MOST_CHARACTERS = 100_000  # of content. Source: "Create a Job": the data must not exceed 100,000 characters
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by their names.
    Raises: ApiError(400) for a body that is no such form; its words are unverified.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary:
        raise _malformed("the Content-Type names no boundary")
    # The line end before a boundary belongs to the boundary. Bodies written by hand, as in the guide, end their lines in LF.
    pieces = re.split(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode()), body)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _malformed("the last boundary is missing")
    return dict(_part(piece) for piece in pieces[1:-1])


def _part(piece: bytes) -> tuple[str, bytes]:
    head, *rest = _BLANK_LINE.split(piece, maxsplit=1)
    if not rest:
        raise _malformed("a part has no content")
    headers = HeaderParser().parsestr(head.decode("latin-1").lstrip("\r\n"))
    return str(headers.get_param("name", "", header="Content-Disposition")), rest[0]


def _malformed(detail: str) -> ApiError:
    return ApiError(400, "INVALID_MULTIPART_REQUEST", f"Multipart request is malformed: {detail}")
