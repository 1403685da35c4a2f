"""Laws of refusals: status, code, message and fields as the vendor's documentation and recordings of real orgs have them.

Source: REST API Developer Guide, "Status Codes and Error Responses"; Object Reference, "Error codes"; public recordings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.emulator.conftest import connect

from halocline.emulator.ids import record_id
from halocline.emulator.server import Emulator

ABSENT = record_id("001", 1_000_000)
ANY_ID = "[0-9A-Za-z]{15}"
# Method, path, what is sent; status, code, message (a pattern), fields (None: the body has no such key).
# {live} and {gone} are Accounts, {absent} is the id of none; an Invoice__c has the number N1.
REFUSALS: dict[str, tuple[str, str, dict[str, Any], int, str, str, list[str] | None]] = {
    "a column that a query names": (
        *("GET", "/query", {"params": {"q": "SELECT Foo__c FROM Account"}}),
        *(400, "INVALID_FIELD"),
        r"\nSELECT Foo__c FROM Account\n       \^\nERROR at Row:1:Column:8\nNo such column 'Foo__c' on entity 'Account'\. If .*",
        None,
    ),
    "an object that a query names": (
        *("GET", "/query", {"params": {"q": "select count() from XYZZY"}}),
        *(400, "INVALID_TYPE"),
        r"\nselect count\(\) from XYZZY\n {20}\^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not supported\. If you .*",
        None,
    ),
    "a query that is none": (
        *("GET", "/query", {"params": {"q": "SELECT Id FORM Account"}}),
        *(400, "MALFORMED_QUERY", r"[\s\S]*unexpected token: '\w+'[\s\S]*", None),
    ),
    "an offset too far": (
        *("GET", "/query", {"params": {"q": "SELECT Id FROM Account LIMIT 1 OFFSET 2001"}}),
        *(400, "NUMBER_OUTSIDE_VALID_RANGE", r"[\s\S]*Maximum SOQL offset allowed is 2000[\s\S]*", None),
    ),
    "a locator that is gone": ("GET", "/query/01g000000000000AAA-2000", {}, 400, "INVALID_QUERY_LOCATOR", r".+", None),
    "a column that a record names": (
        *("POST", "/sobjects/Account", {"json": {"Name": "A", "X": 1}}),
        *(400, "INVALID_FIELD", "No such column 'X' on sobject of type Account", None),
    ),
    "a missing required field": (
        *("POST", "/sobjects/Contact", {"json": {"FirstName": "A"}}),
        *(400, "REQUIRED_FIELD_MISSING", r"Required fields are missing: \[LastName\]", ["LastName"]),
    ),
    "a read-only field": (
        *("POST", "/sobjects/Account", {"json": {"Name": "A", "SystemModstamp": "2026-01-01T00:00:00Z"}}),
        *(400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        r"Unable to create/update fields: SystemModstamp\. Please check the security settings of this field and .*",
        ["SystemModstamp"],
    ),
    "a value that is taken": (
        *("POST", "/sobjects/Invoice__c", {"json": {"Number__c": "N1"}}),
        *(400, "DUPLICATE_VALUE", f"duplicate value found: Number__c duplicates value on record with id: {ANY_ID}", []),
    ),
    "a text too long": (
        *("POST", "/sobjects/Invoice__c", {"json": {"Short__c": "123456"}}),
        *(400, "STRING_TOO_LONG", r"Short: data value too large: 123456 \(max length=5\)", ["Short__c"]),
    ),
    "a value that is not offered": (
        *("POST", "/sobjects/Invoice__c", {"json": {"Status__c": "Lost"}}),
        *(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        *("Status: bad value for restricted picklist field: Lost", ["Status__c"]),
    ),
    "no mail address": (
        *("POST", "/sobjects/Invoice__c", {"json": {"Mail__c": "nobody"}}),
        *(400, "INVALID_EMAIL_ADDRESS", r"Mail: invalid email address: nobody", ["Mail__c"]),
    ),
    "a lookup to nobody": (
        *("POST", "/sobjects/Contact", {"json": {"LastName": "A", "AccountId": ABSENT}}),
        *(400, "INVALID_CROSS_REFERENCE_KEY", r"invalid cross reference id", []),
    ),
    "no id": (
        *("GET", "/sobjects/Account/001zz", {}),
        *(400, "MALFORMED_ID", r"Account ID: id value of incorrect type: 001zz", ["Id"]),
    ),
    "no id in a lookup": (
        *("POST", "/sobjects/Contact", {"json": {"LastName": "A", "AccountId": "001zz"}}),
        *(400, "MALFORMED_ID", r"Account ID: id value of incorrect type: 001zz", ["AccountId"]),
    ),
    "a body that is cut": ("POST", "/sobjects/Account", {"content": b'{"Name":'}, 400, "JSON_PARSER_ERROR", r".+", None),
    "no body": (
        *("POST", "/sobjects/Account", {}),
        *(400, "JSON_PARSER_ERROR", r"The HTTP entity body is required, but this request has no entity body\.", None),
    ),
    "an object that is not there": (
        *("GET", "/sobjects/Nothing__c/describe", {}),
        *(404, "NOT_FOUND", "The requested resource does not exist", None),
    ),
    "a record that is not there": (
        *("GET", "/sobjects/Account/{absent}", {}),
        *(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + ABSENT, None),
    ),
    "a record in the recycle bin": ("GET", "/sobjects/Account/{gone}", {}, 404, "ENTITY_IS_DELETED", "entity is deleted", []),
    "an external id field that is none": (
        *("PATCH", "/sobjects/Account/Site/x", {"json": {"Name": "A"}}),
        *(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: Site", None),
    ),
    "another method": ("PUT", "/sobjects/Account", {}, 405, "METHOD_NOT_ALLOWED", r"HTTP Method 'PUT' not allowed\. .*", None),
    "a locked record": (
        *("PATCH", "/sobjects/Account/{live}", {"json": {"Name": "B"}}),
        *(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: {live}", []),
    ),
}


@pytest.fixture
def ids(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> dict[str, str]:
    found = {"live": add("Account", Name="A"), "gone": add("Account", Name="B"), "absent": ABSENT}
    add("Invoice__c", Number__c="N1")
    assert client.delete(f"/sobjects/Account/{found['gone']}").status_code == 204
    return found


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_the_recorded_body(emulator: Emulator, client: httpx2.Client, ids: dict[str, str], name: str) -> None:
    """An array of one object: message, errorCode, and for some codes the fields, in that order."""
    method, path, sent, status, code, message, fields = REFUSALS[name]
    if name == "a locked record":
        emulator.locks.lock(ids["live"])
    answer = client.request(method, path.format(**ids), **sent)
    assert answer.status_code == status, answer.text
    [body] = answer.json()
    assert list(body) == (["message", "errorCode"] if fields is None else ["message", "errorCode", "fields"])
    assert (body["errorCode"], body.get("fields")) == (code, fields)
    assert re.fullmatch(message.replace("{live}", ids["live"]), body["message"]), body["message"]


def test_a_session_that_is_none_is_refused(emulator: Emulator) -> None:
    """401, and the same for no session at all."""
    with httpx2.Client(base_url=emulator.url) as visitor:
        for headers in ({}, {"Authorization": "Bearer nothing"}):
            answer = visitor.get("/services/data/v66.0/limits", headers=headers)
            assert answer.status_code == 401
            assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_too_many_requests_are_refused(run_emulator: Callable[..., Emulator]) -> None:
    """403 once the day's requests are spent."""
    with connect(run_emulator(daily_api_requests=0)) as client:
        answer = client.get("/limits")
    assert answer.status_code == 403
    assert answer.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_several_matches_are_listed_by_url(client: httpx2.Client, add: Callable[..., str]) -> None:
    """300 is no error body: the urls of the records that an external id may mean."""
    found = [add("Invoice__c", Batch__c="B") for _ in range(2)]
    answer = client.patch("/sobjects/Invoice__c/Batch__c/B", json={"Count__c": 1})
    assert answer.status_code == 300
    assert [url.rsplit("/", 1)[1] for url in answer.json()] == found


def test_a_refused_login_has_two_keys(emulator: Emulator) -> None:
    """OAuth's endpoints answer one object with error and error_description."""
    with httpx2.Client(base_url=emulator.url) as visitor:
        form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
        answer = visitor.post("/services/oauth2/token", data=form)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error", "error_description"]
