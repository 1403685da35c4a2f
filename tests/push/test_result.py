"""Laws of a SyncResult: it counts what was told, keeps the caller's records, and lists in the order of the source."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.push.fake import WRITTEN

from halocline.errors import FixConfig
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told
from halocline.push.order import SyncMode
from halocline.push.result import SyncResult, SyncStatus
from halocline.push.run import NOT_ATTEMPTED, PushRun

RECORDS: list[dict[str, Any]] = [{"n": n} for n in range(9)]


def told(written: dict[int, str], *others: RowResult) -> Told:
    rows = [{"row": row, "id": record_id, "created": True} for row, record_id in written.items()]
    return Told("c", written=pa.RecordBatch.from_pylist(rows, WRITTEN), others=others)


def other(row: int, fate: Fate, code: str) -> RowResult:
    return RowResult(row, fate, code=code, message=f"m{row}", fields=("Name",), record=RECORDS[row])


def filled(total: int, *tolds: Told) -> SyncResult:
    result, run = SyncResult(), PushRun("r", total=total)
    for one in tolds:
        result.add(one)
        run.count(one, SyncMode.UPSERT)
    return result.refresh(run, SyncMode.UPSERT, sobject="Account", elapsed_s=2.0).finish()


def test_a_result_has_not_begun() -> None:
    """Before a sync it is pending and empty."""
    result = SyncResult()
    assert (result.status.value, result.total_records, result.success_rate) == ("pending", 0, 0.0)
    assert (result.errors, result.salesforce_ids, result.failed_records) == ([], [], [])


def test_a_result_can_be_made_at_any_stage() -> None:
    """As a test of one's own makes it."""
    result = SyncResult(status=SyncStatus.IN_PROGRESS, total_records=2)
    result.add_success("001")
    assert (result.status, result.success_rate) == (SyncStatus.IN_PROGRESS, 50.0)


def test_what_is_told_in_any_order_is_listed_in_the_sources() -> None:
    """Ids and errors come by row, with the very record, the text that people read and the parts that programs do."""
    refused, doubtful = other(4, Fate.REFUSED, "BAD"), other(1, Fate.IN_DOUBT, "IN_DOUBT")
    result = filled(5, told({3: "c", 0: "a"}, refused), told({2: "b"}, doubtful))
    assert result.salesforce_ids == ["a", "b", "c"]
    assert result.errors[1] == {
        "record": RECORDS[4],
        "error": "BAD: m4",
        "row": 4,
        "code": "BAD",
        "message": "m4",
        "fields": ("Name",),
    }
    assert [error["row"] for error in result.errors] == [1, 4]
    assert result.errors[1]["record"] is RECORDS[4]
    assert (result.success_count, result.error_count, result.in_doubt_count) == (3, 2, 1)
    assert (result.status, result.success_rate) == (SyncStatus.PARTIAL, 60.0)


def test_only_what_was_surely_not_written_may_be_sent_again() -> None:
    """Refused and unsent records, those behind the first error included; never one in doubt."""
    rows = (
        other(5, Fate.NOT_SENT, NOT_ATTEMPTED),
        other(2, Fate.REFUSED, "BAD"),
        other(3, Fate.IN_DOUBT, "IN_DOUBT"),
        other(4, Fate.NOT_SENT, "MISSING_KEY"),
    )
    result = filled(6, told({0: "a", 1: "b"}, *rows))
    assert [record["n"] for record in result.failed_records] == [2, 4, 5]
    assert (result.not_attempted_count, result.error_count) == (1, 3)
    assert [error["row"] for error in result.errors] == [2, 3, 4]


@pytest.mark.parametrize(
    ("total", "written", "refused", "unchanged", "status"),
    [
        (0, 0, 0, 0, SyncStatus.SUCCESS),
        (2, 2, 0, 0, SyncStatus.SUCCESS),
        (2, 1, 1, 0, SyncStatus.PARTIAL),
        (2, 0, 2, 0, SyncStatus.FAILED),
        (2, 0, 0, 0, SyncStatus.FAILED),
        (2, 0, 0, 2, SyncStatus.SUCCESS),
        (2, 0, 1, 1, SyncStatus.PARTIAL),
    ],
)
def test_the_status_says_whether_anything_is_missing(
    total: int, written: int, refused: int, unchanged: int, status: SyncStatus
) -> None:
    """Success: nothing is. Failed: everything is. Records that need not be sent are not missing."""
    others = [other(written + at, Fate.REFUSED, "BAD") for at in range(refused)]
    result, run = SyncResult(), PushRun("r", total=total, unchanged=unchanged)
    result.add(told(dict.fromkeys(range(written), "x"), *others))
    result.refresh(run, SyncMode.INSERT, sobject="Account", elapsed_s=1.0)
    assert result.status is SyncStatus.IN_PROGRESS
    assert result.finish().status is status


def test_the_metadata_is_documented() -> None:
    """Time, pace, mode and object, and what the run knows."""
    result = filled(4, told({0: "a", 1: "b"}, other(2, Fate.REFUSED, "BAD")))
    assert result.metadata == {
        "elapsed_seconds": 2.0,
        "records_per_second": 1.5,
        "mode": "upsert",
        "sobject": "Account",
        "run": "r",
        "api": None,
        "api_calls": 0,
        "created": 2,
        "updated": 0,
        "folded": 0,
        "unchanged": 0,
    }


def test_successes_and_errors_can_be_added_by_hand() -> None:
    """They count as those that were told, and come after them."""
    result = filled(2, told({0: "a"}))
    record = {"Name": "x"}
    result.add_success("b")
    result.add_error(record, ValueError("no"))
    assert (result.success_count, result.salesforce_ids) == (2, ["a", "b"])
    assert (result.error_count, result.errors[0]["error"]) == (1, "no")
    assert result.errors[0]["record"] is record
    assert result.failed_records == [record]


def test_a_result_that_nobody_made_cannot_be_retried() -> None:
    """It says what to do instead; one of a pipeline asks that pipeline."""
    result = SyncResult()
    with pytest.raises(FixConfig, match=r"failed_records"):
        result.retry()
    result.retrying = lambda: SyncResult(7)
    assert result.retry().total_records == 7


def test_lists_grow_while_the_sync_goes_on() -> None:
    """What was looked at once does not hide what comes later."""
    result = SyncResult()
    result.add(told({1: "b"}))
    assert result.salesforce_ids == ["b"]
    result.add(told({0: "a"}, other(2, Fate.REFUSED, "BAD")))
    assert (result.salesforce_ids, len(result.errors)) == (["a", "b"], 1)
    assert repr(result) == "<SyncResult pending: 2 of 0 written, 1 error>"
