"""Locators: where the next page of a list or of results starts, in the form that Salesforce's samples show."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halocline.emulator.wire import Ask

JOBS_LISTED = 1_000  # jobs on one page. Source: Bulk API 2.0 and Bulk API Developer Guide, "Get Information About All Jobs"


def locator(row: int) -> str:
    """Salesforce's samples are the base64 of a row number without padding."""
    return base64.urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


def offset(text: str | None) -> int:
    """The row that a locator means; the first for none.
    Raises: ApiError(400, INVALID_QUERY_LOCATOR).
    """
    if not text:
        return 0
    try:
        digits = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as reason:
        raise bad_locator() from reason
    if not re.fullmatch("[0-9]{1,12}", digits):
        raise bad_locator()
    return int(digits)


def bad_locator() -> ApiError:
    """The locator is none of ours."""
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")  # code unverified for Bulk 2.0


def listed(infos: Sequence[dict[str, object]], ask: Ask, *, resource: str) -> dict[str, object]:
    """The page of a job list that the request's `queryLocator` names.
    Raises: ApiError(400) for a bad locator.
    """
    start = offset(ask.query.get("queryLocator"))
    end = start + JOBS_LISTED
    done = len(infos) <= end
    others = "".join(f"&{name}={value}" for name, value in ask.query.items() if name != "queryLocator")
    following = f"/services/data/v{ask.version}/{resource}?queryLocator={locator(end)}{others}"
    return {"done": done, "records": infos[start:end], "nextRecordsUrl": None if done else following}
