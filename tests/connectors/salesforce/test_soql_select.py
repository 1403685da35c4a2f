"""Laws of whole queries: what a sync can carry is taken apart, all else is refused with the reason, and parents have types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.salesforce.orgs import emulated

from halocline.connector import Abilities
from halocline.connectors.salesforce import rest, select
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.source import SalesforceSource, object_of
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator
from halocline.errors import BadQuery, FixConfig, HaloclineError, NotFound
from halocline.plan import Thresholds, Wish, decide
from halocline.schema import Kind
from halocline.spool import Spool

WAYS = {"rest": Thresholds(10**6, 10**7), "bulk": Thresholds(0, 10**7), "bulk_stage": Thresholds(0, 0)}


@pytest.fixture(scope="module")
def org() -> Iterator[tuple[Emulator, SalesforceClient]]:
    with emulated(page_rows=40) as (emulator, client):
        seed(emulator.store, {"Account": 30, "Contact": 50})
        yield emulator, client


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool("test", tmp_path)
    yield made
    made.close()


def test_a_query_is_taken_apart() -> None:
    """Object, own fields, paths to parents' fields, condition; any case, any white space, doubles once."""
    found = select.parse(
        "\n select Id, NAME, name ,\tOwner.Name, Account.Industry, OWNER.name\nfrom Contact\n"
        "WHERE Name != 'FROM x GROUP BY (' AND Id IN (SELECT ContactId FROM Case LIMIT 5) ; "
    )
    assert (found.object, found.fields) == ("Contact", ("Id", "NAME"))
    assert found.paths == (("Owner", "Name"), ("Account", "Industry"))
    assert found.where == "Name != 'FROM x GROUP BY (' AND Id IN (SELECT ContactId FROM Case LIMIT 5)"
    assert select.parse(r"SELECT Id FROM A WHERE B = 'it\'s' ").where == r"B = 'it\'s'"
    assert select.parse("SELECT Account.Name, Id FROM Account").fields == ("Name", "Id"), "the object's own name in front"
    assert object_of("SELECT Id FROM Account") == "Account"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT Id", "it is no SELECT"),
        ("DELETE FROM Account", "it is no SELECT"),
        ("SELECT Id FROM Account GROUP BY Id", "GROUP BY makes rows that are no records"),
        ("SELECT Id FROM Account HAVING COUNT(Id) > 1", "GROUP BY"),
        ("SELECT Id FROM Account LIMIT 5", "LIMIT would leave rows out by chance"),
        ("SELECT Id FROM Account WHERE Name = 'x' LIMIT 5", "LIMIT would leave rows out by chance"),
        ("SELECT Id FROM Account OFFSET 5", "OFFSET"),
        ("SELECT Id FROM Account WHERE Name = 'x' ORDER BY Name", "a table has no order"),
        ("SELECT Id FROM Account ALL ROWS", "ALL ROWS"),
        ("SELECT Id FROM Account USING SCOPE mine", "USING SCOPE"),
        ("SELECT Id FROM Account WITH SECURITY_ENFORCED", "WITH"),
        ("SELECT Id FROM Account FOR VIEW", "FOR VIEW"),
        ("SELECT Id FROM Account UPDATE TRACKING", "UPDATE"),
        ("SELECT COUNT() FROM Account", "is computed"),
        ("SELECT MAX(Name) FROM Account", "is computed"),
        ("SELECT toLabel(Industry) FROM Account", "is computed"),
        ("SELECT FIELDS(ALL) FROM Account", r"'FIELDS\(ALL\)' is no field's name.*without it all fields are carried"),
        ("SELECT Id, fields( custom ) FROM Account", "without it all fields are carried"),
        ("SELECT * FROM Account", "without it all fields are carried"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "holds rows of its own"),
        ("SELECT TYPEOF What WHEN Account THEN Phone END FROM Event", "TYPEOF"),
        ("SELECT a.Id FROM Account a", "stands behind the object"),
        ("SELECT Id, Name n FROM Account", "is no field"),
        ("SELECT Id,, Name FROM Account", "is no field"),
        ("SELECT Id FROM Account WHERE ", "stands behind"),
        ("SELECT Id FROM Account WHERE Name = 'x", "a quote is not closed"),
        ("SELECT Id FROM Account WHERE (Name = 'x'", "the parentheses do not balance"),
        ("SELECT Id FROM Account WHERE Name = 'x')", "the parentheses do not balance"),
    ],
)
def test_what_a_table_of_rows_cannot_be_kept_from_is_refused(query: str, words: str) -> None:
    """With the reason, before anybody is asked: exit code 2."""
    with pytest.raises(BadQuery, match=words) as caught:
        select.parse(query)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("way", WAYS)
def test_parents_come_by_every_way_alike(org: tuple[Emulator, SalesforceClient], spool: Spool, way: str) -> None:
    """Nested in REST's records, `Owner.Name` in the header of a Bulk page; a parent that is not there is null."""
    emulator, client = org
    query = "SELECT LastName, account.name, Account.Owner.Username, ReportsTo.Email FROM Contact WHERE Account.Name != null"
    source = SalesforceSource(client, "Contact", spool=spool, query=query)
    plan = decide(source.survey(None), Abilities(), wish=Wish("flow", thresholds=WAYS[way]))
    assert plan.api == way
    assert plan.schema.names[-3:] == ("Account.Name", "Account.Owner.Username", "ReportsTo.Email")
    rows = [r for p in source.parts(plan) for b in source.read(p) for t in b.arrow() for r in t.to_pylist()]
    truth = {one["Id"]: one for one in client.query(f"SELECT Id, {query.removeprefix('SELECT ')}")}
    assert len(rows) == len(truth) > 20
    for row in rows:
        told: dict[str, Any] = truth[row["Id"]]
        assert row["LastName"] == told["LastName"]
        assert row["Account.Name"] == told["Account"]["Name"]
        assert row["Account.Owner.Username"] == told["Account"]["Owner"]["Username"]
        assert row["ReportsTo.Email"] == (told["ReportsTo"] or {}).get("Email")
    assert {row["ReportsTo.Email"] for row in rows} >= {None}
    assert emulator is not None


def test_a_parents_column_has_the_parents_type_and_no_stamp(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Typed by the parent's describe, nullable, counted as changing without a stamp, and the plan says so."""
    source = SalesforceSource(org[1], "Contact", spool=spool, query="SELECT Account.AnnualRevenue, Owner.Id FROM Contact")
    survey = source.survey(None)
    revenue, owner = survey.schema.column("Account.AnnualRevenue"), survey.schema.column("owner.id")
    assert revenue is not None
    assert owner is not None
    assert (revenue.kind, revenue.nullable, revenue.calculated) == (Kind.DECIMAL, True, True)
    assert (owner.kind, owner.nullable) == (Kind.STRING, True)
    assert any(note.startswith("Parents change without moving a row's stamp") for note in survey.notes)


def test_a_relationship_to_several_objects_is_typed_by_the_first_that_has_the_field(
    org: tuple[Emulator, SalesforceClient], spool: Spool
) -> None:
    """Its `Type` is in none of them, and is text."""
    names = (
        SalesforceSource(org[1], "Case", spool=spool, query="SELECT Owner.Name, Owner.Type FROM Case").survey(None).schema.names
    )
    assert names[-2:] == ("Owner.Name", "Owner.Type")


def test_columns_of_parents_are_joined_over_several_queries(org: tuple[Emulator, SalesforceClient]) -> None:
    """Two pieces of one record may each hold a part of the same parent."""
    query = rest.RestQuery("Contact", _schema("Id", "Owner.Name", "Owner.Email", "Account.Name"), None, None, None, False)
    merged = {
        **rest._flat([{"Id": "1", "Owner": {"Name": "Ada"}}], query)[0],
        **rest._flat([{"Id": "1", "Owner": {"Email": "ada@x"}, "Account": None}], query)[0],
    }
    assert (merged["Owner.Name"], merged["Owner.Email"], merged["Account.Name"]) == ("Ada", "ada@x", None)
    assert org is not None


def _schema(*names: str) -> Any:
    from halocline.schema import Column, Schema

    return Schema(tuple(Column(name, Kind.STRING) for name in names), ("Id",))


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("SELECT Onwer.Name FROM Contact", NotFound, "Did you mean Owner"),
        ("SELECT OwnerId.Name FROM Contact", NotFound, "not by its field"),
        ("SELECT Owner.Nmae FROM Contact", NotFound, "Did you mean Name"),
        ("SELECT Nmae FROM Contact", NotFound, "Did you mean Name"),
        ("SELECT Account.BillingAddress FROM Contact", BadQuery, "cannot be a column"),
        ("SELECT A.B.C.D.E.F.G FROM Contact", BadQuery, "SOQL goes up 5"),
        ("SELECT Id FROM Account", BadQuery, "it reads Account, but Contact is to be synced"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_near_ones(
    org: tuple[Emulator, SalesforceClient], spool: Spool, query: str, error: type[HaloclineError], words: str
) -> None:
    """Nothing is read; exit code 2."""
    with pytest.raises(error, match=words) as caught:
        SalesforceSource(org[1], "Contact", spool=spool, query=query).survey(None)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("more", [{"fields": ["Id"]}, {"exclude": ["Name"]}, {"where": "Name = 'x'"}])
def test_a_query_goes_with_no_other_choice(org: tuple[Emulator, SalesforceClient], spool: Spool, more: dict[str, Any]) -> None:
    """Columns and rows are said in one place."""
    with pytest.raises(FixConfig, match="given as well"):
        SalesforceSource(org[1], "Contact", spool=spool, query="SELECT Id FROM Contact", **more)
