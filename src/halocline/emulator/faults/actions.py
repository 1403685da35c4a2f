"""What can go wrong: the table of actions, each with its effect, the requests that it can strike, the settings that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from halocline.emulator.errors import ApiError
from halocline.emulator.faults.rule import Where
from halocline.emulator.faults.target import Target

_UNCOUNTED = ("token", "versions", "resources", "other")  # calls that no limit of the org counts


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can go wrong. `wheres` are the moments at which it can, the usual one first; none if it has no moment.

    `refusal` is what Salesforce answers, for actions that are an answer. Only requests that `can_strike` are counted.
    """

    effect: str
    reads: tuple[str, ...] = ()
    wheres: tuple[Where, ...] = ()
    can_strike: Callable[[Target], bool] = lambda _target: True
    refusal: ApiError | None = None


def _is_counted(target: Target) -> bool:
    return target.kind not in _UNCOUNTED


def _has_pages(target: Target) -> bool:
    return target.is_page or target.kind == "bulk.pages"


# Codes and words: REST API Developer Guide, "Status Codes and Error Responses"; the limits' words as real orgs answer them.
_ERROR = ApiError(
    500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1-1 (1)"
)
_BUSY = ApiError(
    503, "SERVER_UNAVAILABLE", "The server is too busy to handle the request. Please try again later."
)  # words unverified
_DAILY = ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
_CONCURRENT = ApiError(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")

ACTIONS: Mapping[str, Action] = {
    "answer": Action(
        "this reply instead of the work, or after it in place of its own",
        ("status", "body", "content_type", "headers"),
        ("before", "after"),
    ),
    "server_error": Action("500 UNKNOWN_EXCEPTION", ("message",), ("before", "after"), refusal=_ERROR),
    "unavailable": Action("503 SERVER_UNAVAILABLE", ("message",), ("before", "after"), refusal=_BUSY),
    "request_limit": Action("403 REQUEST_LIMIT_EXCEEDED: the day's requests are used up", (), (), _is_counted, _DAILY),
    "concurrent_limit": Action("403 REQUEST_LIMIT_EXCEEDED: too many requests at one time", (), (), _is_counted, _CONCURRENT),
    "expire_session": Action("the caller's session ends before this request"),
    "delay": Action("waits so many seconds before the work, or between it and the answer", ("seconds",), ("before", "after")),
    "cut": Action(
        "closes the connection: before the work, in the middle of the answer (after so many of its bytes as sent, else half), or "
        "after the work without an answer",
        ("after_bytes",),
        ("during", "before", "after"),
    ),
    "slow_body": Action("sends the answer's body slowly", ("bytes_per_s",)),
    "corrupt_gzip": Action("one byte of a compressed body is wrong"),
    "drop_header": Action("an answer without this header, such as Sforce-NumberOfRecords", ("header",)),
    "truncate_page": Action(
        "a page of records ends after so many rows (else half of them); its headers and totals still claim all",
        ("rows",),
        (),
        lambda target: target.is_page,
    ),
    "duplicate_page": Action("the way to the next page leads to the same page again", (), (), _has_pages),
    "wrong_locator": Action(
        "the way to the next page leads nowhere, or (rows) so many records too far", ("rows",), (), _has_pages
    ),
    "lock": Action(
        "so many rows of a write (1; 0 for all) are refused with UNABLE_TO_LOCK_ROW", ("rows",), (), lambda target: target.writes
    ),
    "late_commit": Action(
        "the write is stamped now and seen only so many seconds later by the org's clock, with 0 when the rule is released; "
        "values of unique fields are taken at once",
        ("seconds",),
        (),
        lambda target: target.writes_now and not target.kind.startswith("soap."),
    ),
    "job_stuck": Action("the Bulk job stays InProgress until the rule is released", (), (), lambda target: target.starts_job),
    "job_failed": Action(
        "the Bulk job (in Bulk API 1.0: the batch) fails, a Bulk 2.0 job after so many batches of 10,000 records; those stay",
        ("message", "after_batches"),
        (),
        lambda target: target.starts_job,
    ),
    "job_aborted": Action(
        "as if somebody aborted the Bulk job", ("message", "after_batches"), (), lambda target: target.starts_job
    ),
}

# Shorter words for an action with a setting.
OTHER_NAMES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "lose_reply": ("cut", {"where": "after"}),
    "truncate_rows": ("truncate_page", {}),
}
