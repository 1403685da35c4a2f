"""The Tooling API: the org's shape as rows."""

from __future__ import annotations

import httpx2
import pytest
from tests.emulator.conftest import VERSION, error

from halocline.emulator.server import Emulator


def rows(client: httpx2.Client, soql: str) -> list[dict[str, object]]:
    answer = client.get("/tooling/query", params={"q": soql})
    assert answer.status_code == 200, answer.text
    records: list[dict[str, object]] = answer.json()["records"]
    return records


def test_objects_are_rows(client: httpx2.Client) -> None:
    """With addresses below `tooling`."""
    (row,) = rows(client, "SELECT DurableId, KeyPrefix FROM EntityDefinition WHERE QualifiedApiName = 'Account'")
    assert (row["DurableId"], row["KeyPrefix"]) == ("Account", "001")
    assert row["attributes"] == {
        "type": "EntityDefinition",
        "url": f"{VERSION}/tooling/sobjects/EntityDefinition/Account",
    }


def test_fields_are_rows_of_their_object(client: httpx2.Client) -> None:
    """Reached by its name, with the types that Setup shows."""
    found = rows(
        client,
        "SELECT QualifiedApiName, DataType, EntityDefinition.Label FROM FieldDefinition "
        "WHERE EntityDefinition.QualifiedApiName = 'Invoice__c' AND DeveloperName IN ('Amount', 'Number', 'Account')"
        " ORDER BY QualifiedApiName",
    )
    assert [(row["QualifiedApiName"], row["DataType"]) for row in found] == [
        ("Account__c", "Lookup(Account)"),
        ("Amount__c", "Number(4, 2)"),
        ("Number__c", "Text(20)"),
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "EntityDefinitionId = 'Invoice__c'",
        "EntityDefinitionId IN ('Invoice__c', 'none')",
        "EntityDefinition.DurableId = 'Invoice__c' AND Length > 0",
        "DurableId = 'Invoice__c.Number__c'",
        "EntityDefinitionId = 'Invoice__c' AND Id = 'Invoice__c.Number__c'",
        "EntityDefinitionId = 'Invoice__c' OR EntityDefinitionId = 'none'",
    ],
)
def test_fields_are_found_by_the_ids_that_are_told(client: httpx2.Client, condition: str) -> None:
    """Names that they are, of more characters than a record's id has."""
    found = rows(client, f"SELECT Id, DurableId, EntityDefinitionId FROM FieldDefinition f WHERE {condition}")
    assert "Invoice__c.Number__c" in [row["Id"] for row in found]
    assert {row["EntityDefinitionId"] for row in found} == {"Invoice__c"}


def test_objects_are_found_by_the_ids_that_are_told(client: httpx2.Client) -> None:
    """By the name; an id of no object finds none, and a record's id is asked for elsewhere as ever."""
    assert [row["Id"] for row in rows(client, "SELECT Id FROM EntityDefinition WHERE Id = 'Account'")] == ["Account"]
    assert rows(client, "SELECT Id FROM EntityDefinition WHERE Id = 'Nobody__c'") == []
    told = client.get("/tooling/query", params={"q": "SELECT Id FROM ApexClass WHERE Id = 'Account'"})
    assert error(told) == (400, "INVALID_QUERY_FILTER_OPERATOR")


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "WHERE QualifiedApiName = 'Name'",
        "WHERE EntityDefinitionId != 'Account'",
        "WHERE NOT EntityDefinitionId = 'Account'",
        "WHERE EntityDefinitionId = 'Account' OR QualifiedApiName = 'Name'",
    ],
)
def test_fields_are_those_of_an_object(client: httpx2.Client, condition: str) -> None:
    """Who does not say of which is refused, as in an org."""
    answer = client.get("/tooling/query", params={"q": f"SELECT Id FROM FieldDefinition {condition}"})
    assert error(answer) == (400, "MALFORMED_QUERY")
    words = "FieldDefinition: a filter on a reified column is required [EntityDefinitionId,DurableId]"
    assert answer.json()[0]["message"] == words


def test_custom_objects_and_fields_are_listed(client: httpx2.Client) -> None:
    """Only custom ones."""
    assert [row["DeveloperName"] for row in rows(client, "SELECT DeveloperName FROM CustomObject ORDER BY DeveloperName")] == [
        "Invoice",
        "Silent",
    ]
    names = rows(client, "SELECT DeveloperName FROM CustomField WHERE TableEnumOrId = 'Silent__c'")
    assert [row["DeveloperName"] for row in names] == ["Note"]


@pytest.mark.parametrize("name", ["ApexClass", "ApexTrigger"])
def test_there_is_no_apex(client: httpx2.Client, name: str) -> None:
    """The objects exist and are empty."""
    assert rows(client, f"SELECT Id, Name, Body FROM {name}") == []


def test_what_is_hidden_is_hidden_here_too(client: httpx2.Client, emulator: Emulator) -> None:
    """And comes back with the right to see it."""
    soql = "SELECT DurableId FROM EntityDefinition WHERE DurableId = 'Lead'"
    emulator.org.hide(["Lead"])
    assert rows(client, soql) == []
    emulator.org.show()
    assert len(rows(client, soql)) == 1


def test_data_is_not_here_and_this_is_not_in_the_data(client: httpx2.Client) -> None:
    """Each API knows its own objects."""
    assert error(client.get("/tooling/query", params={"q": "SELECT Id FROM Account"})) == (400, "INVALID_TYPE")
    assert error(client.get("/query", params={"q": "SELECT Id FROM ApexClass"})) == (400, "INVALID_TYPE")


def test_long_answers_come_in_pages(client: httpx2.Client) -> None:
    """Further pages are below `tooling` as well."""
    options = {"Sforce-Query-Options": "batchSize=200"}
    soql = "SELECT Id FROM FieldDefinition WHERE EntityDefinitionId IN ('Account', 'Contact', 'Lead', 'User')"
    first = client.get("/tooling/query", params={"q": soql}, headers=options).json()
    assert first["nextRecordsUrl"].startswith(f"{VERSION}/tooling/query/01g")
    second = client.get(first["nextRecordsUrl"].removeprefix(VERSION)).json()
    assert second["totalSize"] == first["totalSize"]


def test_tooling_describes_its_objects(client: httpx2.Client) -> None:
    """Globally, briefly and wholly; 404 for others."""
    names = {one["name"] for one in client.get("/tooling/sobjects").json()["sobjects"]}
    assert {"EntityDefinition", "FieldDefinition", "CustomObject", "CustomField", "ApexClass"} <= names
    described = client.get("/tooling/sobjects/ApexClass/describe").json()
    assert described["urls"]["describe"] == f"{VERSION}/tooling/sobjects/ApexClass/describe"
    assert client.get("/tooling/sobjects/ApexClass").json()["objectDescribe"]["name"] == "ApexClass"
    assert error(client.get("/tooling/sobjects/Account/describe")) == (404, "NOT_FOUND")
    assert client.get("/tooling").json()["query"] == f"{VERSION}/tooling/query"
