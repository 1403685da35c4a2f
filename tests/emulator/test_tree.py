"""sObject Tree: records with their children, all of them or none."""

from __future__ import annotations

import httpx2
import pytest
from tests.emulator.conftest import error


def node(sobject: str, reference: str, **values: object) -> dict[str, object]:
    return {"attributes": {"type": sobject, "referenceId": reference}, **values}


def account(reference: str, **values: object) -> dict[str, object]:
    return node("Account", reference, Name=reference, **values)


def below(*records: dict[str, object]) -> dict[str, object]:
    return {"records": list(records)}


def count(client: httpx2.Client, sobject: str) -> int:
    return int(client.get("/query", params={"q": f"SELECT COUNT() FROM {sobject}"}).json()["totalSize"])


def test_children_point_at_their_parents(client: httpx2.Client) -> None:
    """Ids come level by level, with the references they were sent under."""
    tree = [
        account("r1", Contacts=below(node("Contact", "c1", LastName="C")), ChildAccounts=below(account("r3"))),
        account("r2"),
    ]
    answer = client.post("/composite/tree/Account", json={"records": tree})
    assert (answer.status_code, answer.json()["hasErrors"]) == (201, False)
    ids = {row["referenceId"]: row["id"] for row in answer.json()["results"]}
    assert list(ids) == ["r1", "r2", "c1", "r3"]
    assert client.get(f"/sobjects/Contact/{ids['c1']}").json()["AccountId"] == ids["r1"]
    assert client.get(f"/sobjects/Account/{ids['r3']}").json()["ParentId"] == ids["r1"]


def test_one_refused_record_undoes_the_tree(client: httpx2.Client) -> None:
    """The answer names only that one."""
    tree = [account("r1", Contacts=below(node("Contact", "c1", LastName="C", Email="nowhere"))), account("r2")]
    answer = client.post("/composite/tree/Account", json={"records": tree})
    (row,) = answer.json()["results"]
    assert (answer.status_code, answer.json()["hasErrors"], row["referenceId"]) == (400, True, "c1")
    assert [(one["statusCode"], one["fields"]) for one in row["errors"]] == [("INVALID_EMAIL_ADDRESS", ["Email"])]
    assert (count(client, "Account"), count(client, "Contact")) == (0, 0)


def test_an_id_given_twice_is_listed_twice(client: httpx2.Client) -> None:
    """One entry for each place."""
    answer = client.post("/composite/tree/Account", json={"records": [account("r1"), account("r2"), account("r1")]})
    assert answer.status_code == 400
    assert [row["referenceId"] for row in answer.json()["results"]] == ["r1", "r1"]
    first = answer.json()["results"][0]["errors"][0]
    assert (first["statusCode"], first["message"]) == ("INVALID_INPUT", "Duplicate ReferenceId provided in the request.")


def test_a_tree_holds_200_records_and_five_levels(client: httpx2.Client) -> None:
    """And not one more."""
    flat = [account(f"r{n}") for n in range(201)]
    assert error(client.post("/composite/tree/Account", json={"records": flat})) == (400, "LIMIT_EXCEEDED")
    assert client.post("/composite/tree/Account", json={"records": flat[:200]}).status_code == 201
    deep = account("d5")
    for level in (4, 3, 2, 1):
        deep = account(f"d{level}", ChildAccounts=below(deep))
    assert client.post("/composite/tree/Account", json={"records": [deep]}).status_code == 201
    deeper = account("d0", ChildAccounts=below(deep))
    assert error(client.post("/composite/tree/Account", json={"records": [deeper]})) == (400, "INVALID_INPUT")


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        ({"records": [{}]}, "JSON_PARSER_ERROR"),
        ({"records": [{"attributes": {"type": "Account"}}]}, "JSON_PARSER_ERROR"),
        ({"records": [node("Contact", "a", LastName="B")]}, "INVALID_INPUT"),
        ({"records": [node("Nothing__c", "a")]}, "INVALID_TYPE"),
        ({"records": [account("a", Nothing__r=below())]}, "INVALID_FIELD"),
        ({"records": [account("a", Nothing__c=1)]}, "INVALID_FIELD"),
        ({"records": [account("a", Contacts=below(account("b")))]}, "JSON_PARSER_ERROR"),
        ({"records": [account("a", Contacts={"records": 1})]}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_tree_that_cannot_be_read_is_refused_whole(client: httpx2.Client, tree: object, code: str) -> None:
    """One error for the request."""
    assert error(client.post("/composite/tree/Account", json=tree)) == (400, code)
    assert count(client, "Account") == 0


def test_a_tree_of_an_unknown_object_does_not_exist(client: httpx2.Client) -> None:
    """404, as for every other resource of that object."""
    assert error(client.post("/composite/tree/Nothing__c", json={"records": []})) == (404, "NOT_FOUND")
