"""Laws of relationships: parents of several kinds, children of children, semi-joins, and their limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.emulator.query_org import Org
from tests.emulator.small_org import reference, sobject, text

from halocline.emulator.errors import ApiError

URL = "/services/data/v66.0/sobjects"


@pytest.fixture
def org() -> Iterator[Org]:
    """An org with one user."""
    made = Org()
    yield made
    made.store.close()


def record(kind: str, record_id: str, **fields: Any) -> dict[str, Any]:
    """A record as REST answers it."""
    return {"attributes": {"type": kind, "url": f"{URL}/{kind}/{record_id}"}, **fields}


def test_typeof_shows_each_kind_its_own_fields(org: Org) -> None:
    """WHEN chooses by the parent's object, with paths and compounds; ELSE shows fields of Name; no parent is null."""
    account = org.add("Account", Name="Acme", BillingCity="Rome")
    contact, lead = org.add("Contact", LastName="C", Email="c@x", AccountId=account), org.add("Lead", LastName="L")
    for who in (contact, lead, None):
        org.add("Task", Subject="S", WhoId=who)
    soql = (
        "SELECT TYPEOF Who WHEN Contact THEN email, Account.Name, Account.Owner.Name, Account.BillingAddress "
        "WHEN Lead THEN LastName END, Subject FROM Task"
    )
    owner = record("User", org.user, Name="Jo Doe")
    place = {"city": "Rome", "postalCode": None}
    found = [(r["Who"], r["Subject"]) for r in org.rows(soql)]
    parent = record("Account", account, Name="Acme", Owner=owner, BillingAddress=place)
    assert found == [
        (record("Contact", contact, Email="c@x", Account=parent), "S"),
        (record("Lead", lead, LastName="L"), "S"),
        (None, "S"),
    ]
    with_else = "SELECT TYPEOF Who WHEN Contact THEN Id ELSE Name, Type END FROM Task"
    assert [r["Who"] for r in org.rows(with_else)] == [
        record("Contact", contact, Id=contact),
        record("Lead", lead, Name="L", Type="Lead"),
        None,
    ]
    without_else = "SELECT TYPEOF Who WHEN Contact THEN Id END FROM Task"
    assert [r["Who"] for r in org.rows(without_else)] == [record("Contact", contact, Id=contact), None, None]


def test_typeof_has_its_rules(org: Org) -> None:
    """TYPEOF needs a parent of several kinds, one of them in each WHEN, and a relationship to itself; it began with v46."""
    refusals = {
        "SELECT TYPEOF Account WHEN Account THEN Id END FROM Contact": "only supported on polymorphic relationships",
        "SELECT TYPEOF Who WHEN Account THEN Id END FROM Task": "Account is not a type of the relationship Who",
        "SELECT TYPEOF Who WHEN Nope THEN Id END FROM Task": "sObject type 'Nope' is not supported",
        "SELECT TYPEOF Who WHEN Contact THEN Nope END FROM Task": "No such column 'Nope' on entity 'Contact'",
        "SELECT TYPEOF Who WHEN Contact THEN Id ELSE AccountId END FROM Task": "No such column 'AccountId' on entity 'Name'",
        "SELECT TYPEOF Who WHEN Contact THEN Id ELSE Owner.Name END FROM Task": "Didn't understand relationship 'Owner'",
        "SELECT TYPEOF Nope WHEN Contact THEN Id END FROM Task": "Didn't understand relationship 'Nope'",
        "SELECT TYPEOF Task WHEN Contact THEN Id END FROM Task": "Didn't understand relationship 'Task'",
        "SELECT TYPEOF Who END FROM Task": "unexpected token: 'END'",
        "SELECT TYPEOF Who WHEN Contact THEN Id FROM Task": "unexpected token: 'FROM'",
        "SELECT Who.Name, TYPEOF Who WHEN Contact THEN Id END FROM Task": "duplicate field selected: Who",
        "SELECT TYPEOF Who WHEN Contact THEN Id END, COUNT(Id) FROM Task": "Grouped queries",
    }
    for soql, words in refusals.items():
        assert words in org.refusal(soql).message, soql
    soql = "SELECT TYPEOF Who WHEN Contact THEN Id END FROM Task"
    assert "unexpected token: 'TYPEOF'" in org.refusal(soql, version="45.0").message
    assert org.query(soql, version="46.0").columns == ("Who",)


def test_from_may_name_parents(org: Org) -> None:
    """FROM Contact c, c.Account a: the aliases stand for their paths everywhere."""
    for name in ("A", "B"):
        org.add("Contact", LastName=name, AccountId=org.add("Account", Name=name))
    soql = "SELECT c.Name, a.Name, u.Name FROM Contact c, c.Account a, a.Owner u WHERE a.Name != 'A' ORDER BY a.Name"
    assert org.query(soql).columns == ("Name", "Account.Name", "Account.Owner.Name")
    assert [r["Account"]["Name"] for r in org.rows(soql)] == ["B"]
    assert org.query("SELECT COUNT() FROM Contact c, c.Account a WHERE a.name = 'B'").total_size() == 1
    assert "Didn't understand relationship 'Contacts'" in org.refusal("SELECT Id FROM Account a, a.Contacts c").message
    assert "unexpected token: 'c'" in org.refusal("SELECT Id FROM Contact c, c x").message
    assert org.query("SELECT COUNT() FROM Contact, Contact.Account WHERE Account.Name = 'B'").total_size() == 1
    assert "Didn't understand relationship 'Nope'" in org.refusal("SELECT Id FROM Contact c, c.Nope").message


def test_a_parent_shows_its_address(org: Org) -> None:
    """A compound field of a parent is an object inside the parent, null when it is empty."""
    for city in ("Rome", None):
        org.add("Contact", LastName="x", AccountId=org.add("Account", Name="x", BillingCity=city))
    found = [r["Account"]["BillingAddress"] for r in org.rows("SELECT Account.BillingAddress FROM Contact")]
    assert found == [{"city": "Rome", "postalCode": None}, None]
    with pytest.raises(ApiError, match="Selecting compound data not supported in Bulk Query"):
        org.query("SELECT Account.BillingAddress FROM Contact", bulk=True)


def test_children_are_chosen_sorted_and_cut_for_each_parent(org: Org) -> None:
    """WHERE, ORDER BY and LIMIT of a sub-query apply to every parent; OFFSET only below LIMIT 1."""
    for parent in "AB":
        account = org.add("Account", Name=parent)
        for name in "xyz":
            org.add("Contact", LastName=name, AccountId=account)
    inner = "(SELECT Name FROM Account.Contacts WHERE Name != 'y' ORDER BY Name DESC LIMIT 1{})"
    rows = org.rows(f"SELECT Name, {inner.format('')} FROM Account")
    assert [[c["Name"] for c in r["Contacts"]["records"]] for r in rows] == [["z"], ["z"]]
    (row,) = org.rows(f"SELECT Name, {inner.format(' OFFSET 1')} FROM Account ORDER BY Name LIMIT 1")
    assert [c["Name"] for c in row["Contacts"]["records"]] == ["x"]
    assert "OFFSET in a sub-query" in org.refusal(f"SELECT Name, {inner.format(' OFFSET 1')} FROM Account").message
    by_alias = "SELECT a.Name, (SELECT Id FROM a.Contacts c WHERE c.Name = 'x') FROM Account a"
    assert [r["Contacts"]["totalSize"] for r in org.rows(by_alias)] == [1, 1]


def nested(levels: int, source: str = "Account") -> str:
    """A query with so many levels of parents and children."""
    below = f", ({nested(levels - 1, 'ChildAccounts')})" if levels > 1 else ""
    return f"SELECT Name{below} FROM {source}"


def test_five_levels_down_and_no_more(org: Org) -> None:
    """Five levels of parents and children since v58, two before."""
    parent = None
    for n in range(6):
        parent = org.add("Account", Name=str(n), ParentId=parent)
    top = org.rows(nested(5))[0]
    for n in range(5):
        assert top["Name"] == str(n)
        top = top["ChildAccounts"]["records"][0] if n < 4 else top
    assert "more than 4 levels away from the root entity" in org.refusal(nested(6)).message
    assert org.query(nested(2), version="57.0").columns == ("Name", "ChildAccounts")
    words = "SOQL statements cannot query aggregate relationships more than 1 level away from the root entity object."
    assert words in org.refusal(nested(3), version="57.0").message


@pytest.mark.parametrize(
    ("soql", "words"),
    [
        ("SELECT (SELECT COUNT(Id) FROM Contacts) FROM Account", "only root queries support aggregate expressions"),
        ("SELECT (SELECT COUNT() FROM Contacts) FROM Account", "only root queries support aggregate expressions"),
        ("SELECT (SELECT Name FROM Contacts GROUP BY Name) FROM Account", "only root queries support aggregate expressions"),
        ("SELECT (SELECT Id FROM Contacts USING SCOPE mine) FROM Account", "only allowed in the outermost query"),
        ("SELECT (SELECT Id FROM Contact) FROM Account", "Didn't understand relationship 'Contact' in FROM part"),
        ("SELECT (SELECT Id FROM Lead.Contacts) FROM Account", "Didn't understand relationship 'Lead.Contacts' in FROM part"),
        ("SELECT (SELECT Id FROM Contacts), (SELECT Name FROM contacts) FROM Account", "duplicate field selected: Contacts"),
    ],
)
def test_what_a_sub_query_cannot_be_is_refused(org: Org, soql: str, words: str) -> None:
    """A sub-query lists records of a child relationship, once."""
    assert words in org.refusal(soql).message


def test_the_number_of_relationships_is_limited() -> None:
    """Fifty-five parents and twenty sub-queries are answered, one more is refused; so are too many kinds of parents."""
    links = [reference(f"L{n}__c", ("Account",), f"L{n}__r", child_relationship_name=f"Wides{n}__r") for n in range(56)]
    whos = [reference(f"W{n}__c", ("Account", "Contact", "Lead", "User"), f"W{n}__r") for n in range(16)]
    org = Org(sobject("Wide__c", "a01", text("Name", name_field=True), *links, *whos))
    try:
        account = org.add("Account", Name="A")
        org.add("Wide__c", L0__c=account, L54__c=account, W0__c=account)
        names = [f"L{n}__r.Name" for n in range(56)]
        assert org.rows(f"SELECT {', '.join(names[:55])} FROM Wide__c")[0]["L54__r"]["Name"] == "A"
        assert "55 are allowed" in org.refusal(f"SELECT {', '.join(names)} FROM Wide__c").message
        queries = [f"(SELECT Id FROM Wides{n}__r)" for n in range(21)]
        assert org.rows(f"SELECT {', '.join(queries[:20])} FROM Account")[0]["Wides0__r"]["totalSize"] == 1
        assert "20 are allowed" in org.refusal(f"SELECT {', '.join(queries)} FROM Account").message
        kinds = [f"W{n}__r.Name" for n in range(16)]
        assert org.rows(f"SELECT {', '.join(kinds[:15])} FROM Wide__c")[0]["W0__r"]["Name"] == "A"
        assert "kinds of parents" in org.refusal(f"SELECT {', '.join(kinds)} FROM Wide__c").message
    finally:
        org.store.close()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("Id IN (SELECT AccountId FROM Contact) OR Name = 'x'", "not allowed with the 'OR' operator"),
        ("Name = 'x' AND (Name = 'y' OR Id IN (SELECT AccountId FROM Contact))", "only allowed at the top level WHERE"),
        ("(NOT Id IN (SELECT AccountId FROM Contact))", "only allowed at the top level WHERE"),
        (" AND ".join(["Id IN (SELECT AccountId FROM Contact)"] * 3), "Maximum 2 semi join sub-selects are allowed"),
        ("Id IN (SELECT AccountId FROM Contact WHERE OwnerId IN (SELECT Id FROM User))", "Nesting of semi join sub-selects"),
        ("Name IN (SELECT AccountId FROM Contact)", "should be an id field, cannot use: 'Name'"),
        ("Id IN (SELECT Name FROM Contact)", "can only query id fields, cannot use: 'Name'"),
        ("Id IN (SELECT Id, AccountId FROM Contact)", "can only query id fields"),
        ("Id IN (SELECT COUNT(Id) FROM Contact)", "can only query id fields"),
        (
            "Id IN (SELECT Account.ParentId FROM Contact)",
            "The inner select field 'Account.ParentId' cannot have more than one level",
        ),
        ("Parent.Id IN (SELECT AccountId FROM Contact)", "The left operand cannot have more than one level of relationships"),
        ("Id IN (SELECT ParentId FROM Account)", "should not be on the same object type"),
        ("OwnerId IN (SELECT AccountId FROM Contact)", "outer query 'OwnerId' should point to the same object type"),
        ("Id IN (SELECT AccountId FROM Contact LIMIT 1)", "cannot use ORDER BY, LIMIT"),
        ("Id IN (SELECT AccountId FROM Contact ORDER BY Name)", "cannot use ORDER BY, LIMIT"),
        ("Id IN (SELECT AccountId FROM Contact GROUP BY AccountId)", "cannot use ORDER BY, LIMIT"),
        ("CALENDAR_YEAR(CreatedDate) IN (SELECT AccountId FROM Contact)", "can only query and compare id fields"),
        ("Id IN (SELECT WhoId FROM Task)", "Entity 'Task' is not supported for semi join inner selects"),
        ("Id IN (SELECT AccountId FROM Nope)", "sObject type 'Nope' is not supported"),
    ],
)
def test_semi_joins_keep_their_rules(org: Org, where: str, words: str) -> None:
    """What the reference forbids in a semi-join is refused in the words that users quote."""
    error = org.refusal(f"SELECT Id FROM Account WHERE {where}")
    assert words in error.message
    assert error.code in ("MALFORMED_QUERY", "INVALID_TYPE")


def test_two_semi_joins_and_one_in_a_sub_query(org: Org) -> None:
    """Two semi-joins may stand beside each other; a sub-query has its own; a polymorphic reference may be compared."""
    first, second = org.add("Account", Name="A"), org.add("Account", Name="B")
    contact = org.add("Contact", LastName="x", AccountId=first)
    org.add("Thing__c", Account__c=first)
    org.add("Thing__c", Account__c=second)
    where = "Id IN (SELECT Account__c FROM Thing__c) AND Id NOT IN (SELECT AccountId FROM Contact)"
    assert [r["Id"] for r in org.rows(f"SELECT Id FROM Account WHERE {where}")] == [second]
    below = "SELECT Name, (SELECT Id FROM Contacts WHERE OwnerId IN (SELECT OwnerId FROM Account)) FROM Account"
    assert [(r["Contacts"] or {}).get("totalSize") for r in org.rows(below)] == [1, None]
    org.add("Task", WhoId=contact)
    org.add("Task")
    assert len(org.rows("SELECT Id FROM Task WHERE WhoId IN (SELECT Id FROM Contact WHERE Name = 'x')")) == 1
