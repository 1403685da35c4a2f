"""What became of one row that was written to Salesforce, or should have been."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from halocline.outcome import Fate, RowResult

MISSING_KEY = "MISSING_KEY"  # our own codes: not what Salesforce said
CANNOT_BE_SENT = "CANNOT_BE_SENT"
IN_DOUBT = "IN_DOUBT"
NOT_ATTEMPTED = "NOT_ATTEMPTED"

# Worth another try of just that row. Source: SOAP API Developer Guide, "StatusCode".
TRANSIENT = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG"})

_TOLD = re.compile(r"([A-Z][A-Z0-9_]*):(.*):([^:]*?)\s*--\s*", re.DOTALL)


def is_transient(told: RowResult) -> bool:
    """Whether the same row may be written when it is sent again after a while."""
    return told.fate is Fate.REFUSED and told.code in TRANSIENT


def not_sent(row: int | None, code: str, *, message: str, fields: Sequence[str] = ()) -> RowResult:
    """A row that was refused here, before anything was sent."""
    return RowResult(row, Fate.NOT_SENT, code=code, message=message, fields=tuple(fields))


def saved(row: int, told: Mapping[str, Any], *, created: bool | None) -> RowResult:
    """One entry of a collection's answer; `created` is what the operation implies where the entry does not say.

    In tests of real orgs `created` came with refused upserts too, so it is read for written rows only.
    Source: REST API Developer Guide, "sObject Collections".
    """
    if told.get("success"):
        made = told.get("created", created)
        return RowResult(row, Fate.WRITTEN, id=told.get("id"), created=None if made is None else bool(made))
    error: Mapping[str, Any] = next(iter(told.get("errors") or ()), {})
    code = str(error.get("statusCode") or error.get("errorCode") or "UNKNOWN")
    messages = [str(one.get("message") or "") for one in told.get("errors") or ()]
    fields = tuple(str(name) for name in error.get("fields") or ())
    record_id = told.get("id") or None
    return RowResult(row, Fate.REFUSED, id=record_id, code=code, message="; ".join(filter(None, messages)), fields=fields)


def read_error(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Code, message and fields of an `sf__Error`: `REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --`.

    The shape is that of recorded answers of real orgs; text of another shape is a message without a code.
    """
    told = _TOLD.fullmatch(text)
    if told is None:
        return "UNKNOWN", text, ()
    return told[1], told[2], tuple(re.split(r"[\s,]+", told[3].strip())) if told[3].strip() else ()
