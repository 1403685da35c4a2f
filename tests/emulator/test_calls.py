"""The call log: every kind of call has a name, and the log is complete when the client has its answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pytest
from tests.emulator.conftest import VERSION
from tests.emulator.test_bulk2 import complete

from halocline.emulator.calls import Call, CallLog, classify
from halocline.emulator.server import Emulator


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/services/oauth2/token", "token"),
        ("GET", "/services/data", "versions"),
        ("GET", VERSION, "resources"),
        ("GET", f"{VERSION}/query", "query"),
        ("GET", f"{VERSION}/queryAll/", "queryAll"),
        ("GET", f"{VERSION}/query/01gXX-2000", "query.more"),
        ("GET", f"{VERSION}/sobjects", "describe.global"),
        ("GET", f"{VERSION}/sobjects/Account", "describe.basic"),
        ("HEAD", f"{VERSION}/sobjects/Account/describe", "describe"),
        ("POST", f"{VERSION}/sobjects/Account", "record.create"),
        ("GET", f"{VERSION}/sobjects/Account/001", "record.get"),
        ("GET", f"{VERSION}/sobjects/Account/Ext__c/1", "record.get"),
        ("PATCH", f"{VERSION}/sobjects/Account/001", "record.update"),
        ("PATCH", f"{VERSION}/sobjects/Account/Ext__c/1", "record.upsert"),
        ("DELETE", f"{VERSION}/sobjects/Account/001", "record.delete"),
        ("GET", f"{VERSION}/sobjects/Account/deleted", "deleted"),
        ("GET", f"{VERSION}/sobjects/Account/updated", "updated"),
        ("GET", f"{VERSION}/limits", "limits"),
        ("GET", f"{VERSION}/limits/recordCount", "recordCount"),
        ("POST", f"{VERSION}/jobs/query", "bulk.create"),
        ("GET", f"{VERSION}/jobs/query", "bulk.list"),
        ("GET", f"{VERSION}/jobs/query/750", "bulk.status"),
        ("PATCH", f"{VERSION}/jobs/query/750", "bulk.abort"),
        ("DELETE", f"{VERSION}/jobs/query/750", "bulk.delete"),
        ("GET", f"{VERSION}/jobs/query/750/results", "bulk.results"),
        ("GET", f"{VERSION}/jobs/query/750/resultPages", "bulk.pages"),
        ("GET", f"{VERSION}/nothing", "other"),
        ("GET", "/", "other"),
    ],
)
def test_every_kind_of_call_has_a_name(method: str, path: str, kind: str) -> None:
    """By method and path alone."""
    assert classify(method, path) == kind


def test_a_call_is_in_the_log_before_its_answer_has_arrived(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """With status, query, and the bytes that went over the wire."""
    add("Account", Name="x")
    answer = client.get("/query", params={"q": "SELECT Id FROM Account"}, headers={"Accept-Encoding": "identity"})
    (call,) = emulator.calls.of("query")
    assert (call.method, call.path, call.status, call.bytes) == ("GET", f"{VERSION}/query", 200, len(answer.content))
    assert call.query == answer.request.url.query.decode()
    assert 0 <= call.seconds < 30
    complete(client)
    assert emulator.calls.count("bulk.create") == 1
    client.get("/query/nonsense")
    assert emulator.calls.of("query.more")[0].status == 400


def test_old_calls_are_forgotten_when_there_are_too_many() -> None:
    """The log of a long run stays small."""
    log = CallLog(kept=2)
    calls = [Call("GET", f"/{number}", "", 200, datetime.now(UTC), 0.0, 0, "other") for number in range(3)]
    for call in calls:
        log.add(call)
    assert (list(log), len(log)) == (calls[1:], 2)
    log.clear()
    assert len(log) == 0
