"""Laws of the query resource: pages inside records, columns, plans, and what an API version knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.emulator.conftest import connect, error

from halocline.emulator.server import Emulator

TINY_PAGE = {"Sforce-Query-Options": "batchSize=200"}


def ask(client: httpx2.Client, soql: str, **more: str) -> Any:
    """The answer to a query."""
    response = client.get("/query", params={"q": soql, **more}, headers=TINY_PAGE)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_long_result_of_a_sub_query_has_pages_of_its_own(client: httpx2.Client, add: Callable[..., str]) -> None:
    """More children than a page holds: the first page comes with the parent, the rest by nextRecordsUrl; short ones are whole."""
    many, few = add("Account", Name="Many"), add("Account", Name="Few")
    for n in range(450):
        add("Contact", LastName=f"{n:03d}", AccountId=many)
    add("Contact", LastName="only", AccountId=few)
    soql = "SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account ORDER BY Name DESC"
    first, second = (row["Contacts"] for row in ask(client, soql)["records"])
    assert (second["totalSize"], second["done"]) == (1, True)
    assert list(first) == ["totalSize", "done", "nextRecordsUrl", "records"]
    names = [child["LastName"] for child in first["records"]]
    assert (first["totalSize"], first["done"], len(names)) == (450, False, 200)
    while not first["done"]:
        first = client.get(httpx2.URL(str(client.base_url)).join(first["nextRecordsUrl"]), headers=TINY_PAGE).json()
        names += [child["LastName"] for child in first["records"]]
    assert names == [f"{n:03d}" for n in range(450)]
    assert first["records"][0]["attributes"]["type"] == "Contact"


def test_columns_tell_what_a_query_would_show(client: httpx2.Client) -> None:
    """With columns=true come the columns: fields with their Apex type, parents and sub-queries with columns inside."""
    soql = "SELECT Id, name, AnnualRevenue, Owner.Name, Owner.Id, BillingAddress, (SELECT LastName FROM Contacts) FROM Account"
    answer = ask(client, soql, columns="true")
    assert {k: v for k, v in answer.items() if k != "columnMetadata"} == {
        "entityName": "Account",
        "groupBy": False,
        "idSelected": True,
        "keyPrefix": "001",
    }
    columns = {c["columnName"]: c for c in answer["columnMetadata"]}
    assert list(columns) == ["Id", "Name", "AnnualRevenue", "Owner", "BillingAddress", "Contacts"]
    assert columns["Id"] == {
        "aggregate": False,
        "apexType": "Id",
        "booleanType": False,
        "columnName": "Id",
        "custom": False,
        "displayName": "Id",
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": [],
        "numberType": False,
        "textType": False,
        "updatable": False,
    }
    assert (columns["Name"]["apexType"], columns["Name"]["textType"], columns["Name"]["updatable"]) == ("String", True, True)
    assert columns["AnnualRevenue"]["numberType"] is True
    assert [c["columnName"] for c in columns["Owner"]["joinColumns"]] == ["Name", "Id"]
    assert (columns["Contacts"]["aggregate"], columns["Contacts"]["apexType"]) == (True, None)
    assert [c["columnName"] for c in columns["Contacts"]["joinColumns"]] == ["LastName"]


def test_columns_of_aggregates_are_named_as_their_results(client: httpx2.Client) -> None:
    """An aggregate without an alias is expr0, shown as the function; groups are fields; COUNT() has no columns."""
    answer = ask(client, "SELECT OwnerId, AVG(AnnualRevenue), COUNT(Id) n FROM Account GROUP BY OwnerId", columns="true")
    owner, average, count = answer["columnMetadata"]
    assert (answer["groupBy"], answer["idSelected"]) == (True, False)
    assert (owner["aggregate"], owner["apexType"], owner["columnName"]) == (False, "Id", "OwnerId")
    assert (average["aggregate"], average["apexType"], average["numberType"]) == (True, None, True)
    assert (average["columnName"], average["displayName"]) == ("expr0", "avg(AnnualRevenue)")
    assert (count["columnName"], count["displayName"]) == ("n", "count(Id)")
    assert ask(client, "SELECT COUNT() FROM Account", columns="true")["columnMetadata"] == []
    typeof = "SELECT TYPEOF Who WHEN Contact THEN Email, Account.Name ELSE Name END FROM Task"
    (who,) = ask(client, typeof, columns="true")["columnMetadata"]
    assert [c["columnName"] for c in who["joinColumns"]] == ["Email", "Account", "Name"]
    assert error(client.get("/query", params={"q": "SELECT Nope FROM Account", "columns": "true"})) == (400, "INVALID_FIELD")


def test_plans_come_cheapest_first(client: httpx2.Client, add: Callable[..., str]) -> None:
    """A query is explained: an index where one helps, the scan of all records otherwise, and what is not indexed."""
    ids = [add("Account", Name=f"{n}", Industry="Energy") for n in range(40)]
    soql = f"SELECT Id FROM Account WHERE Id = '{ids[0]}' AND Industry = 'Energy'"
    answer = client.get("/query", params={"explain": soql}).json()
    assert answer["sourceQuery"] == soql
    index, scan = answer["plans"]
    notes = [
        {
            "description": "Not considering filter for optimization because unindexed",
            "fields": [name],
            "tableEnumOrId": "Account",
        }
        for name in ("IsDeleted", "Industry")
    ]
    rows = scan["sobjectCardinality"]
    assert index == {
        "cardinality": 1,
        "fields": ["Id"],
        "leadingOperationType": "Index",
        "notes": notes,
        "relativeCost": round(1 / (0.3 * rows), 4),
        "sobjectCardinality": rows,
        "sobjectType": "Account",
    }
    assert (scan["leadingOperationType"], scan["fields"], scan["cardinality"], rows) == ("TableScan", [], 1, 40)
    assert scan["relativeCost"] > index["relativeCost"]
    (only,) = client.get("/query", params={"explain": "SELECT Id FROM Account WHERE Name LIKE '%x' OR Id = null"}).json()["plans"]
    assert (only["leadingOperationType"], only["cardinality"]) == ("TableScan", 0)


@pytest.mark.parametrize(
    ("soql", "code"), [("SELECT", "MALFORMED_QUERY"), ("", "MALFORMED_QUERY"), ("00OD0000001cxIE", "INVALID_ID")]
)
def test_what_is_no_query_has_no_plan(client: httpx2.Client, soql: str, code: str) -> None:
    """A broken query is refused as such, the id of a report as an unknown id."""
    assert error(client.get("/query", params={"explain": soql})) == (400, code)


def test_a_version_knows_its_own_soql(emulator: Emulator) -> None:
    """TYPEOF came with v46, FIELDS() with v51, five levels of children with v58."""
    fields = "SELECT FIELDS(STANDARD) FROM Account"
    typeof = "SELECT TYPEOF Who WHEN Contact THEN Id END FROM Task"
    levels = "SELECT Id, (SELECT Id, (SELECT Id FROM Contacts) FROM ChildAccounts) FROM Account"
    with connect(emulator) as client:
        told = {typeof: ("45", "46"), fields: ("50", "51"), levels: ("57", "58")}
        for version, soql, status in [
            (one, soql, code) for soql, both in told.items() for one, code in zip(both, (400, 200), strict=True)
        ]:
            response = client.get(f"{emulator.url}/services/data/v{version}.0/query", params={"q": soql})
            assert response.status_code == status, response.text
