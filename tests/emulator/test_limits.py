"""Counters: every request is counted, shown and, when the day is spent, refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx2
from tests.emulator.conftest import connect, error

from halocline.emulator.server import Emulator


def test_every_rest_answer_tells_the_usage(client: httpx2.Client) -> None:
    """Exactly `api-usage=used/max`, growing by one a request, refusals included."""
    paths = ("/limits", "/sobjects", "/query", "/sobjects/Account/001zz", "/jobs/query")
    seen = [client.get(path).headers["sforce-limit-info"] for path in paths]
    assert all(re.fullmatch(r"api-usage=(\d+)/(\d+)", value) for value in seen)
    assert seen == [f"api-usage={number}/100000" for number in range(1, 6)]


def test_limits_show_what_is_left(client: httpx2.Client) -> None:
    """Requests, and Bulk query jobs, go down as they are used."""
    client.post("/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"})
    limits = client.get("/limits").json()
    assert limits["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_998}
    assert limits["DailyBulkV2QueryJobs"] == {"Max": 10_000, "Remaining": 9_999}
    assert limits["DailyBulkV2QueryFileStorageMB"]["Max"] == 976_562


def test_the_last_request_of_the_day_is_the_last(run_emulator: Callable[..., Emulator]) -> None:
    """Then 403; logging in is not counted."""
    emulator = run_emulator(daily_api_requests=2)
    with connect(emulator) as client:
        assert [client.get("/limits").status_code for _ in range(2)] == [200, 200]
        answer = client.get("/limits")
        assert error(answer) == (403, "REQUEST_LIMIT_EXCEEDED")
        assert answer.headers["sforce-limit-info"] == "api-usage=2/2"


def test_the_last_query_job_of_the_day_is_the_last(run_emulator: Callable[..., Emulator]) -> None:
    """Then the vendor's message, with the number."""
    emulator = run_emulator(daily_query_jobs=1)
    job = {"operation": "query", "query": "SELECT Id FROM Account"}
    with connect(emulator) as client:
        assert client.post("/jobs/query", json=job).status_code == 200
        answer = client.post("/jobs/query", json=job)
    assert answer.status_code == 400
    assert answer.json()[0]["message"] == "Max bulk v2 query jobs (1) per 24 hrs has been reached (2)."


def test_the_limit_header_can_be_extended_or_switched_off(run_emulator: Callable[..., Emulator]) -> None:
    """Both forms exist at Salesforce."""
    with connect(run_emulator(limit_info="per-app")) as client:
        assert client.get("/limits").headers["sforce-limit-info"].startswith("api-usage=1/100000; per-app-api-usage=1/")
    with connect(run_emulator(limit_info="off")) as client:
        assert "sforce-limit-info" not in client.get("/limits").headers


def test_record_counts_are_of_live_rows(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Named objects only, unknown ones left out."""
    add("Account", Name="a")
    client.delete(f"/sobjects/Account/{add('Account', Name='b')}")
    answer = client.get("/limits/recordCount", params={"sObjects": "Contact,account,Nothing__c"}).json()
    assert answer == {"sObjects": [{"count": 1, "name": "Account"}, {"count": 0, "name": "Contact"}]}
    everything = client.get("/limits/recordCount").json()["sObjects"]
    assert {"count": 1, "name": "Account"} in everything
