"""sObject Collections: many records in one request, each for itself or all or none."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from tests.emulator.conftest import error

from halocline.emulator.server import Emulator


def record(sobject: str, **values: object) -> dict[str, object]:
    """The attributes last, as CumulusCI sends them."""
    return {**values, "attributes": {"type": sobject}}


def invoice(**values: object) -> dict[str, object]:
    return record("Invoice__c", **values)


def codes(rows: list[dict[str, object]]) -> list[object]:
    """True for a saved record, the code of its error otherwise."""
    return [row["success"] or row["errors"][0]["statusCode"] for row in rows]  # type: ignore[index]


def count(client: httpx2.Client, sobject: str = "Invoice__c") -> int:
    return int(client.get("/query", params={"q": f"SELECT COUNT() FROM {sobject}"}).json()["totalSize"])


def test_results_come_in_the_order_of_the_records(client: httpx2.Client) -> None:
    """A refused record has its error and no id; the others are saved."""
    answer = client.post(
        "/composite/sobjects",
        json={"records": [invoice(Number__c="1"), invoice(Short__c="too long"), record("Account", Name="A"), invoice()]},
    )
    assert answer.status_code == 200
    rows = answer.json()
    assert codes(rows) == [True, "STRING_TOO_LONG", True, True]
    assert rows[0] == {"id": rows[0]["id"], "success": True, "errors": []}
    assert rows[1].keys() == {"success", "errors"}
    assert rows[1]["errors"][0]["fields"] == ["Short__c"]
    assert rows[2]["id"].startswith("001")
    assert count(client) == 2


def test_all_or_none_undoes_the_good_ones(client: httpx2.Client) -> None:
    """The bad one keeps its error, the others say that they were rolled back."""
    body = {"allOrNone": True, "records": [invoice(Number__c="1"), invoice(Short__c="too long")]}
    rows = client.post("/composite/sobjects", json=body).json()
    assert codes(rows) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "STRING_TOO_LONG"]
    assert count(client) == 0


def test_an_update_needs_an_id_in_each_record(client: httpx2.Client, add: Callable[..., str]) -> None:
    """The id may be in any case; records without one, unknown and deleted ones are refused each for itself."""
    first, gone = add("Invoice__c", Count__c=1), add("Invoice__c")
    client.delete(f"/sobjects/Invoice__c/{gone}")
    records = [invoice(id=first, Count__c=7), invoice(Count__c=7), invoice(Id=gone, Count__c=7), invoice(Id="001", Count__c=1)]
    rows = client.patch("/composite/sobjects", json={"records": records}).json()
    assert codes(rows) == [True, "MISSING_ARGUMENT", "ENTITY_IS_DELETED", "MALFORMED_ID"]
    assert rows[0]["id"] == first
    assert client.get(f"/sobjects/Invoice__c/{first}").json()["Count__c"] == 7


def test_an_upsert_tells_what_is_new(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Each record finds its own by the external id; one without a value is refused."""
    add("Invoice__c", Number__c="old")
    records = [invoice(Number__c="old", Count__c=2), invoice(number__c="new"), invoice(Count__c=1)]
    rows = client.patch("/composite/sobjects/Invoice__c/Number__c", json={"records": records}).json()
    assert [row.get("created") for row in rows] == [False, True, None]
    assert codes(rows) == [True, True, "MISSING_ARGUMENT"]
    assert count(client) == 2


def test_an_upsert_refuses_all_records_with_the_same_key(client: httpx2.Client) -> None:
    """Salesforce cannot know which of them to keep."""
    records = [invoice(Number__c="1"), invoice(Number__c="2"), invoice(Number__c="1")]
    rows = client.patch("/composite/sobjects/Invoice__c/Number__c", json={"records": records}).json()
    assert codes(rows) == ["DUPLICATE_VALUE", True, "DUPLICATE_VALUE"]
    assert rows[0]["errors"][0]["message"] == "Duplicate external id specified: 1"


def test_an_upsert_by_id_inserts_what_has_none(client: httpx2.Client, add: Callable[..., str]) -> None:
    """`Id` is a key like others."""
    known = add("Invoice__c")
    rows = client.patch(
        "/composite/sobjects/Invoice__c/Id", json={"records": [invoice(Id=known, Count__c=3), invoice(Count__c=4)]}
    ).json()
    assert [row["created"] for row in rows] == [False, True]


def test_an_upsert_by_an_unknown_field_or_of_another_object_is_refused_whole(client: httpx2.Client) -> None:
    """404 for the field, 400 for the object."""
    one = {"records": [invoice(Number__c="1")]}
    assert error(client.patch("/composite/sobjects/Invoice__c/Nothing__c", json=one)) == (404, "NOT_FOUND")
    assert error(client.patch("/composite/sobjects/Account/Id", json=one)) == (400, "INVALID_TYPE")


def test_a_delete_takes_ids_of_any_objects(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Ids are in the query; a bad one is refused for itself."""
    one, two = add("Invoice__c"), add("Account", Name="A")
    rows = client.delete("/composite/sobjects", params={"ids": f"{one},{two},001"}).json()
    assert codes(rows) == [True, True, "MALFORMED_ID"]
    assert [row.get("id") for row in rows] == [one, two, None]
    assert client.get(f"/sobjects/Account/{two}").status_code == 404


def test_a_delete_of_all_or_none(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Nothing is deleted if one cannot be."""
    one = add("Invoice__c")
    rows = client.delete("/composite/sobjects", params={"ids": f"{one},001", "allOrNone": "true"}).json()
    assert codes(rows) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MALFORMED_ID"]
    assert client.get(f"/sobjects/Invoice__c/{one}").status_code == 200


def test_reading_gives_null_for_what_is_not_there(client: httpx2.Client, add: Callable[..., str]) -> None:
    """One entry an id, in order; deleted, unknown and malformed ids are null."""
    one, gone = add("Account", Name="A"), add("Account", Name="B")
    client.delete(f"/sobjects/Account/{gone}")
    answer = client.get(
        "/composite/sobjects/Account", params={"ids": f"{one},{gone},nonsense,{one[:15]}", "fields": "name,Industry"}
    )
    first, *rest = answer.json()
    assert first == {"attributes": first["attributes"], "Name": "A", "Industry": None}
    assert rest == [None, None, first]
    posted = client.post("/composite/sobjects/Account", json={"ids": [one], "fields": ["Id"]}).json()
    assert posted == [{"attributes": first["attributes"], "Id": one}]


def test_reading_refuses_fields_that_do_not_exist(client: httpx2.Client, add: Callable[..., str]) -> None:
    """No text of the client becomes part of a query."""
    ids = add("Account", Name="A")
    for fields in ("Nothing__c", "Id FROM User --", "Owner.Name"):
        assert error(client.get("/composite/sobjects/Account", params={"ids": ids, "fields": fields})) == (400, "INVALID_FIELD")
    assert error(client.get("/composite/sobjects/Account", params={"ids": ids})) == (400, "MISSING_ARGUMENT")
    assert error(client.get("/composite/sobjects/Nothing", params={"ids": ids, "fields": "Id"})) == (404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_more_than_200_records_are_refused(client: httpx2.Client, method: str) -> None:
    """The whole request, in the words of real orgs."""
    answer = client.request(method, "/composite/sobjects", json={"records": [invoice()] * 201})
    assert error(answer) == (400, "EXCEEDED_ID_LIMIT")
    assert answer.json()[0]["message"] == "record limit reached. cannot submit more than 200 records into this call"
    assert codes(client.post("/composite/sobjects", json={"records": [invoice()] * 200}).json()) == [True] * 200


def test_reading_takes_2000_ids_in_a_body(client: httpx2.Client) -> None:
    """And not one more."""
    body = {"ids": ["001000000000000AAA"] * 2_000, "fields": ["Id"]}
    assert client.post("/composite/sobjects/Account", json=body).json() == [None] * 2_000
    body = {"ids": ["001000000000000AAA"] * 2_001, "fields": ["Id"]}
    assert error(client.post("/composite/sobjects/Account", json=body)) == (400, "EXCEEDED_ID_LIMIT")


def test_objects_may_change_nine_times(client: httpx2.Client) -> None:
    """Ten runs of one object each are taken, eleven are not."""
    records = [record("Account", Name="A") if n % 2 else invoice() for n in range(11)]
    assert error(client.post("/composite/sobjects", json={"records": records})) == (400, "LIMIT_EXCEEDED")
    assert codes(client.post("/composite/sobjects", json={"records": records[:10]}).json()) == [True] * 10


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        ({"records": {}}, "JSON_PARSER_ERROR"),
        ({"records": [1]}, "JSON_PARSER_ERROR"),
        ({"records": [], "more": 1}, "JSON_PARSER_ERROR"),
        ({"records": [], "allOrNone": "perhaps"}, "JSON_PARSER_ERROR"),
        ({"records": [{"Name": "A"}]}, "INVALID_TYPE"),
        ({"records": [{"attributes": "Account"}]}, "INVALID_TYPE"),
        ({"records": [record("Nothing__c")]}, "INVALID_TYPE"),
        ({"records": [invoice(), invoice(Nothing__c=1)]}, "INVALID_FIELD"),
        ({"records": [invoice(), invoice(Count__c="many")]}, "JSON_PARSER_ERROR"),
        ({"records": [invoice(Count__c=[])]}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_request_that_cannot_be_read_writes_nothing(client: httpx2.Client, body: object, code: str) -> None:
    """Not one record of it, and the answer is one error."""
    assert error(client.post("/composite/sobjects", json=body)) == (400, code)
    assert count(client) == 0


def test_no_records_are_no_error(client: httpx2.Client) -> None:
    """An empty list has an empty answer."""
    assert client.post("/composite/sobjects", json={"records": []}).json() == []


def test_a_collection_is_one_request(client: httpx2.Client, emulator: Emulator) -> None:
    """Whatever the number of records; the log has it by its kind."""
    before = emulator.org.limits.usage()[0]
    client.post("/composite/sobjects", json={"records": [invoice()] * 50})
    assert emulator.org.limits.usage()[0] == before + 1
    assert emulator.org.calls.count("collections.create") == 1
