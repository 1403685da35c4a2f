"""What clients see of writes that wait for their commit: late ones, and those in transactions of the admin door."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest
from tests.emulator.bulk2_load import load
from tests.emulator.conftest import VERSION, error

from halocline.emulator.server import Emulator

ACCOUNT = {"attributes": {"type": "Account"}}


def found(client: httpx2.Client, soql: str, **more: Any) -> list[list[object]]:
    """The values of the records, in order."""
    answer = client.get("/query", params={"q": soql}, **more)
    assert answer.status_code == 200, answer.text
    return [[value for name, value in record.items() if name != "attributes"] for record in answer.json()["records"]]


def names(client: httpx2.Client) -> list[object]:
    return [name for (name,) in found(client, "SELECT Name FROM Account ORDER BY Name")]


def post(reference: str, sobject: str, **body: object) -> dict[str, object]:
    return {"method": "POST", "referenceId": reference, "url": f"{VERSION}/sobjects/{sobject}", "body": body}


@pytest.fixture
def header(emulator: Emulator) -> dict[str, str]:
    """What makes a request part of an open transaction."""
    return {"X-Emulator-Transaction": emulator.store.begin()}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/composite/sobjects", {"allOrNone": True, "records": [{**ACCOUNT, "Name": "undone"}, ACCOUNT]}),
        ("/composite", {"allOrNone": True, "compositeRequest": [post("a", "Account", Name="undone"), post("b", "Account")]}),
        (
            "/composite/graph",
            {"graphs": [{"graphId": "g", "compositeRequest": [post("a", "Account", Name="x"), post("b", "Account")]}]},
        ),
        ("/composite/tree/Account", {"records": [{"attributes": {"type": "Account", "referenceId": "r"}, "Name": "x" * 300}]}),
    ],
)
def test_what_is_undone_as_a_whole_is_not_written_late(
    emulator: Emulator, client: httpx2.Client, path: str, body: Mapping[str, object]
) -> None:
    """Nor is an id of it given to a record that is there."""
    emulator.faults.add("late_commit", seconds=60, times=1)
    told = client.post(path, json=body)
    assert ("ALL_OR_NONE" in told.text) + ("PROCESSING_HALTED" in told.text) + (told.status_code == 400) == 1
    client.post("/sobjects/Account", json={"Name": "other"})
    emulator.clock.advance(61)
    assert names(client) == ["other"]


def test_parts_of_a_late_request_see_each_other(emulator: Emulator, client: httpx2.Client) -> None:
    """A tree's children find their parent, a composite's parts what the earlier ones wrote; others see nothing yet."""
    emulator.faults.add("late_commit", seconds=60, times=2)
    contacts = {"records": [{"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "C"}]}
    root = {"attributes": {"type": "Account", "referenceId": "a"}, "Name": "Tree", "Contacts": contacts}
    assert client.post("/composite/tree/Account", json={"records": [root]}).status_code == 201
    read = {"method": "GET", "referenceId": "read", "url": f"{VERSION}/sobjects/Account/@{{a.id}}?fields=Name"}
    parts = [post("a", "Account", Name="Composite"), post("c", "Contact", LastName="D", AccountId="@{a.id}"), read]
    told = client.post("/composite", json={"compositeRequest": parts}).json()["compositeResponse"]
    assert [part["httpStatusCode"] for part in told] == [201, 201, 200]
    assert told[2]["body"]["Name"] == "Composite"
    assert names(client) == []
    emulator.clock.advance(61)
    assert found(client, "SELECT LastName, AccountId FROM Contact WHERE Account.Name = 'Composite'") == [
        ["D", told[0]["body"]["id"]]
    ]
    assert names(client) == ["Composite", "Tree"]


def test_a_client_in_a_transaction_sees_it(emulator: Emulator, client: httpx2.Client, header: dict[str, str]) -> None:
    """It can change, read and point at what it wrote; whoever is outside cannot, until the commit."""
    made = client.post("/sobjects/Account", json={"Name": "a"}, headers=header).json()["id"]
    other = client.post("/sobjects/Account", json={"Name": "other"}).json()["id"]
    assert made != other
    assert client.post("/sobjects/Contact", json={"LastName": "c", "AccountId": made}, headers=header).status_code == 201
    assert client.patch(f"/sobjects/Account/{made}", json={"Name": "b"}, headers=header).status_code == 204
    assert found(client, "SELECT Name FROM Account ORDER BY Name", headers=header) == [["b"], ["other"]]
    assert client.get(f"/sobjects/Account/{made}").status_code == 404
    emulator.store.commit(header["X-Emulator-Transaction"])
    assert names(client) == ["b", "other"]
    assert found(client, "SELECT Account.Name FROM Contact")[0][0]["Name"] == "b"  # type: ignore[index]
    assert error(client.post("/sobjects/Account", json={"Name": "c"}, headers=header)) == (400, "EMULATOR_ADMIN")
    assert names(client) == found_names(client, header)


def found_names(client: httpx2.Client, header: dict[str, str]) -> list[object]:
    """As a request sees them that names a transaction which is over."""
    return [name for (name,) in found(client, "SELECT Name FROM Account ORDER BY Name", headers=header)]


def test_the_retry_of_a_late_upsert_is_refused(emulator: Emulator, client: httpx2.Client) -> None:
    """With the id that the first one's record will have; after the commit the key finds it."""
    emulator.faults.add("late_commit", seconds=60, object="Invoice__c", times=2)
    path = "/sobjects/Invoice__c/Number__c/K1"
    first = client.patch(path, json={"Amount__c": 1})
    assert first.status_code == 201
    for _ in ("late itself", "not late"):
        again = client.patch(path, json={"Amount__c": 2})
        assert error(again) == (400, "DUPLICATE_VALUE")
        assert again.json()[0]["message"].endswith(f"with id: {first.json()['id'][:15]}")
    job = load(client, "Number__c\nK1\n", object="Invoice__c")
    assert job.counts == ("JobComplete", 1, 1)
    emulator.clock.advance(61)
    assert client.patch(path, json={"Amount__c": 3}).status_code == 200
    assert found(client, "SELECT Number__c, Amount__c FROM Invoice__c") == [["K1", 3.0]]


@pytest.mark.parametrize("how", ["late", "transaction"])
def test_a_record_is_no_duplicate_of_itself(emulator: Emulator, client: httpx2.Client, header: dict[str, str], how: str) -> None:
    """What a write that is not seen yet does to it hinders no other: by its key, by its id, in a collection, by Bulk."""
    path = "/sobjects/Invoice__c/Number__c/K1"
    record_id = client.patch(path, json={"Amount__c": 1}).json()["id"]
    if how == "late":
        emulator.faults.add("late_commit", seconds=60, object="Invoice__c", times=1)
    assert client.patch(path, json={"Amount__c": 2}, headers=header if how == "transaction" else {}).status_code == 200
    assert client.patch(path, json={"Amount__c": 3}).status_code == 200
    same = {"Number__c": "K1", "Amount__c": 4}
    assert client.patch(f"/sobjects/Invoice__c/{record_id}", json=same).status_code == 204
    records = [{"attributes": {"type": "Invoice__c"}, "Number__c": "K1", "Amount__c": 5}]
    (told,) = client.patch("/composite/sobjects/Invoice__c/Number__c", json={"records": records}).json()
    assert (told["success"], told["id"]) == (True, record_id)
    job = load(client, "Number__c,Amount__c\nK1,6\n", object="Invoice__c", operation="upsert", externalIdFieldName="Number__c")
    assert job.counts == ("JobComplete", 1, 0)
    other = client.post("/sobjects/Invoice__c", json={"Number__c": "K1", "Amount__c": 7})
    assert error(other) == (400, "DUPLICATE_VALUE")
    assert found(client, "SELECT Amount__c FROM Invoice__c") == [[6.0]]
    emulator.clock.advance(61)
    if how == "transaction":
        emulator.store.commit(header["X-Emulator-Transaction"])
    assert found(client, "SELECT Amount__c FROM Invoice__c") == [[2.0]]


def test_a_late_write_that_cannot_be_made_hurts_no_other(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks next is answered, the other late writes are there, and the log says what was lost."""
    emulator.faults.add("late_commit", seconds=60, times=2)
    lost = client.post("/sobjects/Account", json={"Name": "lost"}).json()["id"]
    client.post("/sobjects/Account", json={"Name": "kept"})
    add("Account", Id=lost, Name="forced")  # behind every check
    emulator.clock.advance(61)
    with caplog.at_level(logging.ERROR):
        assert names(client) == ["forced", "kept"]
    assert "cannot be committed" in caplog.text
    assert not emulator.store.transactions
