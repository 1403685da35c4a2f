"""Single records over REST: what is written is what was sent, and what is wrong is refused in the vendor's words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from tests.emulator.conftest import VERSION, error, stored

from halocline.emulator.server import Emulator


def created(answer: httpx2.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_created_record_can_be_read_back(client: httpx2.Client) -> None:
    """201 with the id, where it is, and nothing else."""
    answer = client.post("/sobjects/Account/", json={"attributes": {"type": "Account"}, "name": "Acme", "NumberOfEmployees": 5})
    record_id = created(answer)
    assert answer.json() == {"id": record_id, "success": True, "errors": []}
    assert answer.headers["location"] == f"{VERSION}/sobjects/Account/{record_id}"
    read = client.get(f"/sobjects/Account/{record_id}").json()
    assert read["attributes"] == {"type": "Account", "url": f"{VERSION}/sobjects/Account/{record_id}"}
    assert (read["Id"], read["Name"], read["NumberOfEmployees"], read["IsDeleted"]) == (record_id, "Acme", 5, False)
    assert read["CreatedDate"].endswith(".000+0000")


def test_named_fields_only_are_returned(client: httpx2.Client, add: Callable[..., str]) -> None:
    """`fields` is the SELECT list; an id of 15 characters will do."""
    record_id = add("Account", Name="Acme")
    answer = client.get(f"/sobjects/Account/{record_id[:15]}", params={"fields": "name,Id"}).json()
    assert (answer.pop("attributes")["type"], answer) == ("Account", {"Name": "Acme", "Id": record_id})
    assert error(client.get(f"/sobjects/Account/{record_id}", params={"fields": "Foo__c"})) == (400, "INVALID_FIELD")


def test_a_change_touches_only_what_it_names_and_null_clears(client: httpx2.Client, add: Callable[..., str]) -> None:
    """204 without a body."""
    record_id = add("Account", Name="Acme", Phone="1", Site="x")
    answer = client.patch(f"/sobjects/Account/{record_id}", json={"Phone": None, "Site": ""})
    assert (answer.status_code, answer.content) == (204, b"")
    read = client.get(f"/sobjects/Account/{record_id}", params={"fields": "Name,Phone,Site"}).json()
    assert (read["Name"], read["Phone"], read["Site"]) == ("Acme", None, None)


def test_post_with_a_method_override_changes_a_record(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Clients behind old proxies cannot send PATCH."""
    record_id = add("Account", Name="Acme")
    assert client.post(f"/sobjects/Account/{record_id}", params={"_HttpMethod": "PATCH"}, json={"Name": "B"}).status_code == 204
    assert client.get(f"/sobjects/Account/{record_id}").json()["Name"] == "B"


@pytest.mark.parametrize("text", ["a\r\nb", "a\rb", '"quoted",', "\u00a0naïve  漢字 🐟\u00a0", "NULL", "#N/A", "\\n"])
def test_text_is_stored_as_it_was_sent(emulator: Emulator, client: httpx2.Client, text: str) -> None:
    """Not normalised."""
    record_id = created(client.post("/sobjects/Account", json={"Name": text}))
    assert stored(emulator, "Account", record_id)["Name"] == text
    assert client.get(f"/sobjects/Account/{record_id}").json()["Name"] == text


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("Sent__c", "2022-03-17T17:21:26.123+01:00", "2022-03-17T16:21:26.123Z"),
        ("Sent__c", "2022-03-17T16:21:26Z", "2022-03-17T16:21:26.000Z"),
        ("Sent__c", "2022-03-17T16:21:26.000+0000", "2022-03-17T16:21:26.000Z"),
        ("Due__c", "2022-03-17", "2022-03-17"),
        ("Due__c", "2022-03-17T23:30:00-01:00", "2022-03-18"),
        ("At__c", "10:20:30.000Z", "10:20:30.000Z"),
        ("Amount__c", "12.5", 12.5),
        ("Amount__c", 12, 12.0),
        ("Count__c", 7.0, 7),
        ("Paid__c", "TRUE", True),
        ("Paid__c", False, False),
        ("Tags__c", "Red;Blue", "Red;Blue"),
        ("Short__c", 12345, "12345"),
    ],
)
def test_values_are_stored_in_one_form(emulator: Emulator, client: httpx2.Client, field: str, sent: object, kept: object) -> None:
    """Whatever spelling the client used."""
    record_id = created(client.post("/sobjects/Invoice__c", json={field: sent}))
    value = stored(emulator, "Invoice__c", record_id)[field]
    assert (value, type(value)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("sobject", "record", "code", "fields"),
    [
        ("Account", {"Nmae": "x"}, "INVALID_FIELD", None),
        ("Account", {}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ("Contact", {"FirstName": "Eva"}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ("Account", {"Name": "x", "CreatedDate": "2022-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["CreatedDate"]),
        ("Account", {"Name": "x", "BillingAddress": {"city": "Ulm"}}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["BillingAddress"]),
        ("Account", {"Name": "x", "Id": "001000000000000AAA"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["Id"]),
        ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
        ("Account", {"Name": "x", "ParentId": "zz"}, "MALFORMED_ID", ["ParentId"]),
        ("Account", {"Name": "x", "ParentId": "001000000000000AAA"}, "INVALID_CROSS_REFERENCE_KEY", []),
        ("Invoice__c", {"Status__c": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Status__c"]),
        ("Invoice__c", {"Tags__c": "Red;Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Tags__c"]),
        ("Invoice__c", {"Mail__c": "nobody"}, "INVALID_EMAIL_ADDRESS", ["Mail__c"]),
        ("Invoice__c", {"Amount__c": 10_000}, "NUMBER_OUTSIDE_VALID_RANGE", ["Amount__c"]),
        ("Invoice__c", {"Amount__c": "many"}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Amount__c": True}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Count__c": 1.5}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Paid__c": "perhaps"}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Due__c": "17.3.2022"}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Sent__c": "2022-03-17T16:21:26"}, "JSON_PARSER_ERROR", None),
        ("Invoice__c", {"Short__c": ["a"]}, "JSON_PARSER_ERROR", None),
    ],
)
def test_a_wrong_record_is_refused(
    client: httpx2.Client, sobject: str, record: dict[str, Any], code: str, fields: list[str] | None
) -> None:
    """400, the code, and the fields at fault; nothing is stored."""
    answer = client.post(f"/sobjects/{sobject}", json=record)
    assert error(answer) == (400, code)
    assert answer.json()[0].get("fields") == fields
    assert client.get("/query", params={"q": f"SELECT COUNT() FROM {sobject}"}).json()["totalSize"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', rb'{"Name": "\ud83d"}'])
def test_a_body_that_is_no_record_is_refused(client: httpx2.Client, body: bytes) -> None:
    """Missing, broken, of another shape, or with half a character."""
    assert error(client.post("/sobjects/Account", content=body)) == (400, "JSON_PARSER_ERROR")


def test_a_required_field_cannot_be_emptied(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Also by a later change."""
    record_id = add("Account", Name="Acme")
    assert error(client.patch(f"/sobjects/Account/{record_id}", json={"Name": None})) == (400, "REQUIRED_FIELD_MISSING")
    assert error(client.patch(f"/sobjects/Account/{record_id}", json={"Id": record_id})) == (400, "INVALID_FIELD")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_record_that_is_not_there_says_why(client: httpx2.Client, add: Callable[..., str], method: str) -> None:
    """Unknown, in the recycle bin, or no id at all."""
    binned = add("Account", Name="Acme")
    client.delete(f"/sobjects/Account/{binned}")
    body = {"Name": "x"} if method == "PATCH" else None
    assert error(client.request(method, "/sobjects/Account/001000000000000AAA", json=body)) == (404, "NOT_FOUND")
    assert error(client.request(method, f"/sobjects/Account/{binned}", json=body)) == (404, "ENTITY_IS_DELETED")
    assert error(client.request(method, "/sobjects/Account/001zz", json=body)) == (400, "MALFORMED_ID")
    assert error(client.request(method, "/sobjects/Account/003000000000000AAA", json=body)) == (400, "MALFORMED_ID")


def test_a_lookup_must_point_at_the_right_object(client: httpx2.Client, add: Callable[..., str]) -> None:
    """An existing id of another object is an integrity error."""
    contact = add("Contact", LastName="Eva")
    assert error(client.post("/sobjects/Account", json={"Name": "x", "ParentId": contact})) == (400, "FIELD_INTEGRITY_EXCEPTION")


def test_a_lookup_can_be_given_by_external_id(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """A nested object in the place of the relationship; one that matches nothing is refused."""
    user = stored(emulator, "User", emulator.org.api_user_id)
    record_id = created(client.post("/sobjects/Account", json={"Name": "x", "Owner": {"Username": user["Username"]}}))
    assert stored(emulator, "Account", record_id)["OwnerId"] == user["Id"]
    assert error(client.post("/sobjects/Account", json={"Name": "x", "Owner": {"Username": "nobody"}})) == (400, "INVALID_FIELD")


def test_a_unique_field_refuses_a_second_record(client: httpx2.Client, add: Callable[..., str]) -> None:
    """The refusal names the record that has the value, in 15 characters; that record itself may be saved again."""
    first = add("Invoice__c", Number__c="A1")
    second = add("Invoice__c", Number__c="A2")
    answer = client.patch(f"/sobjects/Invoice__c/{second}", json={"Number__c": "A1"})
    assert error(answer) == (400, "DUPLICATE_VALUE")
    assert answer.json()[0]["message"] == f"duplicate value found: Number__c duplicates value on record with id: {first[:15]}"
    assert client.patch(f"/sobjects/Invoice__c/{first}", json={"Number__c": "A1"}).status_code == 204


def test_upsert_creates_then_changes(client: httpx2.Client) -> None:
    """201 with created true, then 200 with created false and the same id."""
    path = "/sobjects/Invoice__c/number__c/A%2F1%20%C3%A4"
    answer = client.patch(path, json={"Count__c": 1})
    record_id = created(answer)
    assert answer.json() == {"id": record_id, "success": True, "errors": [], "created": True}
    again = client.patch(path, json={"Count__c": 2})
    assert (again.status_code, again.json()) == (200, {"id": record_id, "success": True, "errors": [], "created": False})
    read = client.get(path).json()
    assert (read["Number__c"], read["Count__c"]) == ("A/1 ä", 2)


def test_upsert_before_v46_answers_a_change_without_a_body(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """Old clients expect 204."""
    add("Invoice__c", Number__c="A1")
    answer = client.patch(f"{emulator.url}/services/data/v45.0/sobjects/Invoice__c/Number__c/A1", json={"Count__c": 1})
    assert (answer.status_code, answer.content) == (204, b"")


def test_upsert_by_a_number_finds_its_record(client: httpx2.Client) -> None:
    """An external id may be numeric."""
    record_id = created(client.patch("/sobjects/Invoice__c/Line__c/7", json={}))
    assert client.patch("/sobjects/Invoice__c/Line__c/7", json={}).json()["id"] == record_id


def test_upsert_that_may_only_update_creates_nothing(client: httpx2.Client) -> None:
    """`updateOnly=true`."""
    answer = client.patch("/sobjects/Invoice__c/Number__c/A1", params={"updateOnly": "true"}, json={})
    assert error(answer) == (404, "NOT_FOUND")


def test_upsert_with_several_matches_lists_them(client: httpx2.Client, add: Callable[..., str]) -> None:
    """300 and the records' addresses; nothing is changed."""
    ids = {add("Invoice__c", Batch__c="B") for _ in range(2)}
    answer = client.patch("/sobjects/Invoice__c/Batch__c/B", json={"Count__c": 1})
    assert (answer.status_code, {url.rpartition("/")[2] for url in answer.json()}) == (300, ids)


def test_upsert_needs_an_external_id_field_and_one_value(client: httpx2.Client) -> None:
    """Another field is not found; a body that names the key again is refused, with the same value too."""
    assert error(client.patch("/sobjects/Invoice__c/Short__c/x", json={})) == (404, "NOT_FOUND")
    assert error(client.patch("/sobjects/Invoice__c/Number__c/A1", json={"Number__c": "A2"})) == (400, "INVALID_FIELD")
    assert error(client.patch("/sobjects/Invoice__c/Number__c/A1", json={"number__c": "A1"})) == (400, "INVALID_FIELD")


def test_a_record_can_be_deleted_by_external_id(client: httpx2.Client, add: Callable[..., str]) -> None:
    """The same key, the method DELETE."""
    record_id = add("Invoice__c", Number__c="A1")
    assert client.delete("/sobjects/Invoice__c/Number__c/A1").status_code == 204
    assert error(client.get(f"/sobjects/Invoice__c/{record_id}")) == (404, "ENTITY_IS_DELETED")
    assert error(client.delete("/sobjects/Invoice__c/Number__c/A1")) == (404, "NOT_FOUND")


def test_an_insert_in_the_place_of_an_upsert_by_id(client: httpx2.Client, add: Callable[..., str]) -> None:
    """`POST X/Id` creates, `PATCH X/Id/{id}` changes."""
    record_id = created(client.post("/sobjects/Account/Id", json={"Name": "x"}))
    assert client.patch(f"/sobjects/Account/Id/{record_id}", json={"Name": "y"}).status_code == 204
    assert client.get(f"/sobjects/Account/{record_id}").json()["Name"] == "y"


def test_parallel_upserts_of_one_key_make_one_record(client: httpx2.Client) -> None:
    """Looking for the key and writing are one step."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.patch("/sobjects/Invoice__c/Number__c/A1", json={"Count__c": n}), range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_write_into_a_transaction_that_is_not_open_is_refused(client: httpx2.Client) -> None:
    """Not lost in silence."""
    headers = {"X-Emulator-Transaction": "nonsense"}
    assert error(client.post("/sobjects/Account", json={"Name": "x"}, headers=headers)) == (400, "EMULATOR_ADMIN")
