"""Laws of answers: REST records, aggregates, relationships, and Bulk's columns of text."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.query_org import Org
from tests.emulator.small_org import USER, sobject
from tests.examples import examples

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Field, PicklistValue

NOW = "2026-11-20T12:00:00.000+0000"
NO_FIELD = "\nSELECT Foo__c FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Foo__c' on entity 'Account'."
NO_OBJECT = "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not supported."
URL = "/services/data/v66.0/sobjects"


@pytest.fixture
def org() -> Iterator[Org]:
    """An org with one user."""
    made = Org()
    yield made
    made.store.close()


def test_records_are_shaped_as_the_rest_api_shapes_them(org: Org) -> None:
    """The attributes come first, then the SELECT order, canonical names, types as JSON has them."""
    parent = org.add("Account", Name="Acme", AnnualRevenue=1000, NumberOfEmployees=4, BillingCity="Rome")
    child = org.add("Account", Name="Sub", ParentId=parent)
    listed = "name, ID, annualrevenue, numberofemployees, isdeleted, createddate, parent.owner.name, parent.NAME, billingaddress"
    soql = f"select {listed} from account"
    first, second = org.rows(soql)
    assert list(first) == [
        "attributes",
        "Name",
        "Id",
        "AnnualRevenue",
        "NumberOfEmployees",
        "IsDeleted",
        "CreatedDate",
        "Parent",
        "BillingAddress",
    ]
    assert first == {
        "attributes": {"type": "Account", "url": f"{URL}/Account/{parent}"},
        "Name": "Acme",
        "Id": parent,
        "AnnualRevenue": 1000.0,
        "NumberOfEmployees": 4,
        "IsDeleted": False,
        "CreatedDate": NOW,
        "Parent": None,
        "BillingAddress": {"city": "Rome", "postalCode": None},
    }
    assert second["Id"] == child
    assert second["BillingAddress"] is None
    assert second["Parent"] == {
        "attributes": {"type": "Account", "url": f"{URL}/Account/{parent}"},
        "Owner": {"attributes": {"type": "User", "url": f"{URL}/User/{org.user}"}, "Name": "Jo Doe"},
        "Name": "Acme",
    }
    assert org.query(soql).columns == (
        *("Name", "Id", "AnnualRevenue", "NumberOfEmployees", "IsDeleted", "CreatedDate"),
        *("Parent.Owner.Name", "Parent.Name", "BillingAddress"),
    )


def test_polymorphic_parents_tell_their_type(org: Org) -> None:
    """Who is a Contact here and a Lead there; filters see either; fields are those of the Name object."""
    contact, lead = org.add("Contact", LastName="C", Email="c@x"), org.add("Lead", LastName="L")
    for who in (contact, lead, None):
        org.add("Task", Subject="S", WhoId=who)
    found = [r["Who"] for r in org.rows("SELECT Who.Type, Who.Name, Who.Email FROM Task")]
    assert found[0] == {
        "attributes": {"type": "Contact", "url": f"{URL}/Contact/{contact}"},
        "Type": "Contact",
        "Name": "C",
        "Email": "c@x",
    }
    assert found[1] == {"attributes": {"type": "Lead", "url": f"{URL}/Lead/{lead}"}, "Type": "Lead", "Name": "L", "Email": None}
    assert found[2] is None
    assert len(org.rows("SELECT Id FROM Task WHERE Who.Type = 'Lead'")) == 1
    assert org.bulk("SELECT Who.Name FROM Task WHERE Who.Type = 'Contact'") == [{"Who.Name": "C"}]
    with pytest.raises(ApiError, match="No such column 'AccountId' on entity 'Name'"):
        org.query("SELECT Who.AccountId FROM Task")
    with pytest.raises(ApiError, match="Didn't understand relationship 'Account'"):
        org.query("SELECT Who.Account.Name FROM Task")


def test_five_levels_up_and_no_more(org: Org) -> None:
    """Five relationships in a path are answered, six are refused."""
    record_id = None
    for n in range(7):
        record_id = org.add("Account", Name=str(n), ParentId=record_id)
    path = "Parent." * 5 + "Name"
    assert org.bulk(f"SELECT {path} FROM Account WHERE Name = '6'") == [{path: "1"}]
    with pytest.raises(ApiError, match="at most 5 levels"):
        org.query(f"SELECT Parent.{path} FROM Account")


def test_children_come_as_nested_results(org: Org) -> None:
    """A sub-query gives {totalSize, done, records} for each parent, null where there are none, limited per parent."""
    first, second = org.add("Account", Name="A"), org.add("Account", Name="B")
    for name in "xyz":
        org.add("Contact", LastName=name, AccountId=first)
    rows = org.rows(
        "SELECT Id, (SELECT Name, Account.Name FROM Contacts WHERE Name != 'y' ORDER BY Name DESC LIMIT 1) FROM Account"
    )
    assert rows[0]["Contacts"]["totalSize"] == 1
    assert rows[0]["Contacts"]["done"] is True
    assert [(c["Name"], c["Account"]["Name"]) for c in rows[0]["Contacts"]["records"]] == [("z", "A")]
    assert (rows[1]["Id"], rows[1]["Contacts"]) == (second, None)
    with pytest.raises(ApiError) as refused:
        org.query("SELECT (SELECT Id FROM Nope__r) FROM Account")
    assert refused.value.code == "INVALID_TYPE"


def test_grandchildren_nest(org: Org) -> None:
    """A sub-query may hold a sub-query."""
    top = org.add("Account", Name="top")
    middle = org.add("Account", Name="middle", ParentId=top)
    org.add("Contact", LastName="leaf", AccountId=middle)
    rows = org.rows("SELECT (SELECT Name, (SELECT Name FROM Contacts) FROM ChildAccounts) FROM Account WHERE ParentId = null")
    (child,) = rows[0]["ChildAccounts"]["records"]
    assert child["Contacts"]["records"][0]["Name"] == "leaf"


def test_semi_and_anti_joins(org: Org) -> None:
    """IN and NOT IN (SELECT ...) compare ids, and null references of the inner query match nothing."""
    with_contact, without = org.add("Account", Name="A"), org.add("Account", Name="B")
    org.add("Contact", LastName="x", AccountId=with_contact)
    org.add("Contact", LastName="y")
    inner = "(SELECT AccountId FROM Contact WHERE Account.Name != 'zzz')"
    assert [r["Id"] for r in org.rows(f"SELECT Id FROM Account WHERE Id IN {inner}")] == [with_contact]
    assert [r["Id"] for r in org.rows(f"SELECT Id FROM Account WHERE Id NOT IN {inner}")] == [without]


def test_aggregates_are_named_and_typed(org: Org) -> None:
    """COUNT, COUNT_DISTINCT, SUM, AVG, MIN, MAX; aliases or expr0, expr1; groups, HAVING and ordering by them."""
    for name, industry, revenue in (("a", "Zinc", 1), ("B", "Zinc", 4), ("b", "Apparel", None), ("c", None, 2)):
        org.add("Account", Name=name, Industry=industry, AnnualRevenue=revenue)
    calls = "COUNT(Id), COUNT(AnnualRevenue) n, COUNT_DISTINCT(Name), SUM(AnnualRevenue), AVG(AnnualRevenue), MIN(Name)"
    (total,) = org.rows(f"SELECT {calls} FROM Account")
    assert total["attributes"] == {"type": "AggregateResult"}
    assert (total["expr0"], total["n"], total["expr1"], total["expr2"], total["expr4"]) == (4, 3, 3, 7.0, "a")
    assert total["expr3"] == pytest.approx(7 / 3)
    soql = "SELECT Industry, COUNT(Id) n FROM Account WHERE Name != null GROUP BY Industry"
    soql += " HAVING COUNT(Id) > 0 ORDER BY COUNT(Id) DESC, Industry"
    assert [(r["Industry"], r["n"]) for r in org.rows(soql)] == [("Zinc", 2), (None, 1), ("Apparel", 1)]
    assert org.query(soql).total_size() == 3
    assert [r["y"] for r in org.rows("SELECT CALENDAR_YEAR(CreatedDate) y FROM Account GROUP BY CALENDAR_YEAR(CreatedDate)")] == [
        2026
    ]
    assert [r["Name"] for r in org.rows("SELECT Owner.Name FROM Account GROUP BY Owner.Name")] == ["Jo Doe"]


def test_count_answers_with_a_size_only(org: Org) -> None:
    """COUNT() has a size and no records, and obeys LIMIT and the recycle bin."""
    ids = [org.add("Account", Name=str(n)) for n in range(5)]
    org.remove("Account", ids[0])
    query = org.query("SELECT count() FROM Account")
    assert (query.is_count, query.total_size(), query.records("66.0", 0, 10), query.columns) == (True, 4, [], ())
    assert org.query("SELECT COUNT() FROM Account LIMIT 3").total_size() == 3
    assert org.query("SELECT COUNT() FROM Account", all_rows=True).total_size() == 5
    assert org.query("SELECT COUNT() FROM Account WHERE IsDeleted = true", all_rows=True).total_size() == 1
    assert org.query("SELECT COUNT() FROM Account WHERE IsDeleted = true").total_size() == 0


def test_order_is_caseless_with_nulls_first_and_picklists_as_listed(org: Org) -> None:
    """ORDER BY: nulls first in both directions unless said otherwise, case aside, picklists in their listed order."""
    for name, industry in (("b", "Apparel"), ("A", "Zinc"), ("C", None)):
        org.add("Account", Name=name, Industry=industry, Code__c=None if name == "b" else name)
    assert [r["Name"] for r in org.rows("SELECT Name FROM Account ORDER BY Name")] == ["A", "b", "C"]
    assert [r["Industry"] for r in org.rows("SELECT Industry FROM Account ORDER BY Industry")] == [None, "Zinc", "Apparel"]
    assert [r["Name"] for r in org.rows("SELECT Name FROM Account ORDER BY Code__c DESC")] == ["b", "C", "A"]
    assert [r["Name"] for r in org.rows("SELECT Name FROM Account ORDER BY Code__c DESC NULLS LAST LIMIT 2 OFFSET 1")] == [
        "A",
        "b",
    ]


@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("CALENDAR_YEAR", 2026), ("CALENDAR_QUARTER", 4), ("CALENDAR_MONTH", 11), ("DAY_IN_MONTH", 20), ("DAY_IN_WEEK", 6),
        ("DAY_IN_YEAR", 324), ("FISCAL_QUARTER", 4), ("HOUR_IN_DAY", 12), ("WEEK_IN_MONTH", 3), ("WEEK_IN_YEAR", 47),
    ],
)  # fmt: skip
def test_date_functions_filter(org: Org, function: str, number: int) -> None:
    """Each date function gives its number of 2026-11-20 12:00 UTC, a Friday."""
    org.add("Account", Name="x")
    assert len(org.rows(f"SELECT Id FROM Account WHERE {function}(CreatedDate) = {number}")) == 1
    assert org.rows(f"SELECT Id FROM Account WHERE {function}(CreatedDate) != {number}") == []


def test_relative_dates_filter_dates_and_datetimes(org: Org) -> None:
    """= is inside the range, < before it, > after it; in UTC by the server's clock."""
    for n, day in enumerate(("2026-11-19", "2026-11-20", "2026-11-21")):
        org.add("Thing__c", Name=day, Date__c=day, Moment__c=f"{day}T{n * 11 + 1:02d}:00:00.000Z")
    for field in ("Date__c", "Moment__c"):
        names = {
            op: [r["Name"][-2:] for r in org.rows(f"SELECT Name FROM Thing__c WHERE {field} {op} TODAY")]
            for op in ("=", "!=", "<", "<=", ">", ">=")
        }
        assert names == {"=": ["20"], "!=": ["19", "21"], "<": ["19"], "<=": ["19", "20"], ">": ["21"], ">=": ["20", "21"]}


def test_fields_groups_expand(org: Org) -> None:
    """FIELDS(STANDARD|CUSTOM|ALL) become the object's fields, with their LIMIT rule and no doubles."""
    org.add("Account", Name="x")
    (row,) = org.rows("SELECT FIELDS(CUSTOM) FROM Account LIMIT 200")
    assert list(row) == ["attributes", "Code__c", "Number__c", "RevenueEach__c"]
    assert "BillingAddress" in org.rows("SELECT FIELDS(ALL) FROM Account LIMIT 1")[0]
    assert "Code__c" not in org.rows("SELECT FIELDS(STANDARD) FROM Account")[0]
    with pytest.raises(ApiError, match="LIMIT of at most 200"):
        org.query("SELECT FIELDS(ALL) FROM Account")
    with pytest.raises(ApiError, match="duplicate field selected: Id"):
        org.query("SELECT Id, FIELDS(STANDARD) FROM Account")
    ids = [f"'001{n:012d}'" for n in range(201)]
    assert org.rows(f"SELECT FIELDS(CUSTOM) FROM Account WHERE Name = 'y' AND Id IN ({', '.join(ids[:200])})") == []
    assert org.rows(f"SELECT FIELDS(ALL) FROM Account WHERE Id = {ids[0]} OR Id = {ids[1]}") == []
    for where in (f"Id IN ({', '.join(ids)})", f"Id = {ids[0]} OR Name = 'x'"):
        assert org.refusal(f"SELECT FIELDS(ALL) FROM Account WHERE {where}").code == "MALFORMED_QUERY"
    assert "must result in at least one field" in org.refusal("SELECT FIELDS(CUSTOM) FROM User LIMIT 1").message


def test_text_sorts_by_its_capitals(org: Org) -> None:
    """English locales compare capital letters: an underscore comes after letters, a and A are one."""
    for name in ("_a", "b", "A", "a1"):
        org.add("Thing__c", Text__c=name)
    assert [r["Text__c"] for r in org.rows("SELECT Text__c FROM Thing__c ORDER BY Text__c")] == ["A", "a1", "b", "_a"]
    exported = [r["Text__c"] for r in org.bulk("SELECT Text__c FROM Thing__c ORDER BY Text__c DESC")]
    assert exported == ["_a", "b", "a1", "A"]


def test_labels_and_formats(org: Org) -> None:
    """A toLabel gives the picklist's label, FORMAT text for people."""
    org.add("Account", Name="x", Industry="Zinc", AnnualRevenue=1234.5, NumberOfEmployees=12_345)
    soql = "SELECT toLabel(Industry), FORMAT(AnnualRevenue) money, FORMAT(NumberOfEmployees), FORMAT(CreatedDate) at FROM Account"
    (row,) = org.rows(soql)
    assert (row["Industry"], row["money"], row["NumberOfEmployees"], row["at"]) == (
        "Zinc!",
        "$1,234.50",
        "12,345",
        "11/20/2026, 12:00 PM",
    )


def test_labels_of_several_picks_and_of_aliases() -> None:
    """A toLabel translates each value of a multi-select picklist, stands beside the raw value by an alias, and filters."""
    values = (PicklistValue("A", 'La "a"'), PicklistValue("B", "Lb\\"), PicklistValue("C", "C"))
    org = Org(sobject("Pick__c", "a02", Field("Many__c", "multipicklist", "Many", custom=True, length=99, picklist=values)))
    try:
        for many in ("A;B", "B;x;C", None):
            org.add("Pick__c", Many__c=many)
        rows = org.rows("SELECT Many__c, toLabel(Many__c) shown FROM Pick__c")
        assert [(r["Many__c"], r["shown"]) for r in rows] == [("A;B", 'La "a";Lb\\'), ("B;x;C", "Lb\\;x;C"), (None, None)]
        assert [r["Many__c"] for r in org.rows("SELECT Many__c FROM Pick__c WHERE toLabel(Many__c) = 'lb\\\\;X;c'")] == ["B;x;C"]
        assert "duplicate field selected: Many__c" in org.refusal("SELECT Many__c, toLabel(Many__c) FROM Pick__c").message
    finally:
        org.store.close()


def test_locations_and_blobs(org: Org) -> None:
    """A location is an object of its parts or null; a blob is the URL of its bytes."""
    record_id = org.add("Thing__c", Place__Latitude__s=1.5, Place__Longitude__s=-2, Blob__c="aGk=")
    org.add("Thing__c", Name="none")
    first, second = org.rows("SELECT Place__c, Blob__c FROM Thing__c")
    assert first["Place__c"] == {"latitude": 1.5, "longitude": -2.0}
    assert first["Blob__c"] == f"{URL}/Thing__c/{record_id}/Blob__c"
    assert (second["Place__c"], second["Blob__c"]) == (None, None)


def test_paging_is_stable_while_the_org_changes(org: Org) -> None:
    """The first look fixes membership and order: later inserts, deletes and renames change neither."""
    ids = [org.add("Account", Name=f"{n:03d}") for n in range(30)]
    query = org.query("SELECT Id FROM Account ORDER BY Name DESC")
    pages = [query.records("66.0", 0, 10)]
    org.add("Account", Name="zzz")
    org.remove("Account", ids[3])
    org.store.update(query.sobject, ids[15], {"Name": "aaa"}, user_id=USER)
    pages += [query.records("66.0", start, 10) for start in (10, 20, 30)]
    assert [r["Id"] for page in pages for r in page] == ids[::-1]
    assert query.total_size() == 30


def test_bulk_writes_values_as_text(org: Org) -> None:
    """Bulk's text: numbers as Salesforce writes them, true and false, Z, 18-character ids, null where null; dotted parents."""
    account = org.add("Account", Name="Acme", AnnualRevenue=1000, NumberOfEmployees=5)
    org.add("Account", Name="None")
    listed = "Id, AnnualRevenue, NumberOfEmployees, IsDeleted, CreatedDate, Owner.Name, Parent.IsDeleted, RevenueEach__c"
    soql = f"SELECT {listed} FROM Account"
    first, second = org.bulk(soql)
    assert list(first.values()) == [account, "1000.0", "5", "false", "2026-11-20T12:00:00.000Z", "Jo Doe", None, "200.0"]
    assert list(first) == [
        "Id",
        "AnnualRevenue",
        "NumberOfEmployees",
        "IsDeleted",
        "CreatedDate",
        "Owner.Name",
        "Parent.IsDeleted",
        "RevenueEach__c",
    ]
    assert (second["AnnualRevenue"], second["NumberOfEmployees"], second["RevenueEach__c"]) == (None, None, None)


def test_bulk_column_may_begin_with_many_nulls(org: Org) -> None:
    """A value after thousands of nulls is text like any other."""
    for n in range(60):
        org.add("Thing__c", Text__c=None if n < 59 else "late")
    rows = org.bulk("SELECT Text__c FROM Thing__c", rows=7)
    assert [r["Text__c"] for r in rows] == [None] * 59 + ["late"]
    sizes = [b.num_rows for b in org.query("SELECT Text__c FROM Thing__c", bulk=True).batches(7)]
    assert sum(sizes) == 60
    assert max(sizes) <= 7


def test_bulk_reads_the_same_when_the_file_cannot_stand_still(org: Org) -> None:
    """With a reader in the way of folding, the slower reader gives the same rows; and an unfinished export does no harm."""
    for n in range(20):
        org.add("Thing__c", Name=str(n), Double__c=n / 3, Int__c=n, Text__c="x\r\n" if n % 2 else None)
    soql = "SELECT Name, Double__c, Int__c, Text__c FROM Thing__c"
    fast = org.bulk(soql)
    blocker = org.store.database.connect()
    blocker.execute("BEGIN")
    blocker.execute("SELECT * FROM Thing__c").fetchone()
    added = org.add("Thing__c", Name="late")
    slow = org.bulk(soql)
    blocker.close()
    assert [_numbers(r) for r in slow[:-1]] == [_numbers(r) for r in fast]
    assert slow[-1]["Name"] == "late"
    unfinished = org.query(soql, bulk=True).batches(5)
    next(unfinished)
    org.remove("Thing__c", added)
    assert len(org.bulk(soql)) == 20
    unfinished.close()  # type: ignore[attr-defined]  # a generator
    assert len(org.bulk(soql)) == 20


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    # The two readers may spell a number differently; they must mean the same.
    return {**row, "Double__c": float(row["Double__c"])}


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT COUNT() FROM Account", "API_ERROR", "COUNT is not supported in Bulk Query"),
        ("SELECT Name, COUNT(Id) FROM Account GROUP BY Name", "API_ERROR", "COUNT is not supported in Bulk Query"),
        ("SELECT Name FROM Account GROUP BY Name", "API_ERROR", "GROUP BY is not supported in Bulk Query"),
        ("SELECT Id FROM Account OFFSET 1", "API_ERROR", "OFFSET is not supported in Bulk Query"),
        ("SELECT BillingAddress FROM Account", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR", "Aggregate Relationships not supported in Bulk Query"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 10", "MALFORMED_QUERY", "unbounded set of fields"),
        ("SELECT TYPEOF Who WHEN Contact THEN Name END FROM Task", "API_ERROR", "TYPEOF is not supported in Bulk Query"),
        ("SELECT Nope__c FROM Account", "INVALID_FIELD", "No such column 'Nope__c'"),
    ],
)
def test_bulk_refuses_what_bulk_cannot_do(org: Org, soql: str, code: str, words: str) -> None:
    """Bulk's own restrictions are refused when the job is made."""
    with pytest.raises(ApiError) as refused:
        org.query(soql, bulk=True)
    assert refused.value.code == code
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Foo__c FROM Account", "INVALID_FIELD", NO_FIELD),
        ("select count() from XYZZY", "INVALID_TYPE", NO_OBJECT),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT COUNT(Id) FROM Account LIMIT 1", "MALFORMED_QUERY", "overall aggregate functions cannot also use LIMIT"),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "field Name does not support aggregate operator SUM"),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT AnnualRevenue FROM Account GROUP BY AnnualRevenue", "MALFORMED_QUERY", "'AnnualRevenue' can not be grouped"),
        ("SELECT Id FROM Account WHERE BillingAddress = 'x'", "INVALID_FIELD", "Address fields can only be filtered using"),
        ("SELECT Id FROM Account ORDER BY BillingAddress", "MALFORMED_QUERY", "'BillingAddress' can not be sorted"),
        ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY", "field 'Description' can not be sorted"),
        ("SELECT Name, MAX(Id) Name FROM Account GROUP BY Name", "MALFORMED_QUERY", "duplicate alias: Name"),
        ("SELECT DISTANCE(BillingAddress, Name) FROM Account", "MALFORMED_QUERY", "DISTANCE"),
        ("SELECT Id FROM Account HAVING COUNT(Id) > 1", "MALFORMED_QUERY", "unexpected token: 'HAVING'"),
        ("SELECT Id FROM Account USING SCOPE team", "MALFORMED_QUERY", "scope 'team' is not supported for entity Account"),
        ("SELECT Id FROM Account, Contact", "INVALID_FIELD", "Didn't understand relationship 'Contact'"),
    ],
)  # fmt: skip
def test_refusals_say_what_is_wrong(org: Org, soql: str, code: str, message: str) -> None:
    """Salesforce's code and words, with the context lines where it gives them."""
    with pytest.raises(ApiError) as refused:
        org.query(soql)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert message in refused.value.message


awkward = st.one_of(
    st.sampled_from(
        ["\r\n", "\r", "\n", '"', "'", ",", "NA", "null", "nan", "#N/A", "\\", " lead", "trail ", "𝒳😀", "\x00", "\x1f", "é" * 9]
    ),
    st.text(st.characters(codec="utf-8"), min_size=1),
)


@settings(max_examples=examples(60))
@given(texts=st.lists(st.one_of(st.none(), awkward), min_size=1, max_size=12))
def test_text_arrives_as_it_was_stored(texts: list[str | None]) -> None:
    """Any text but the empty one comes back exactly, through the store, REST and Bulk."""
    org = Org()
    try:
        for text in texts:
            org.add("Thing__c", Long__c=text)
        soql = "SELECT Long__c FROM Thing__c"
        assert [r["Long__c"] for r in org.rows(soql)] == texts
        assert [r["Long__c"] for r in org.bulk(soql, rows=3)] == texts
    finally:
        org.store.close()


def test_the_longest_text_arrives_whole(org: Org) -> None:
    """131,072 characters of every awkward kind come back by both ways."""
    text = ('\r\n"é𝒳,\r' * 20_000)[:131_072]
    org.add("Thing__c", Long__c=text)
    assert org.rows("SELECT Long__c FROM Thing__c")[0]["Long__c"] == text
    assert org.bulk("SELECT Long__c FROM Thing__c")[0]["Long__c"] == text


@given(units=st.integers(-(10**15) + 1, 10**15 - 1), scale=st.integers(0, 17))
@settings(max_examples=examples(60))
def test_bulk_writes_numbers_with_the_fewest_digits(units: int, scale: int) -> None:
    """A number of up to 15 digits comes back by Bulk with just those, as REST gives it."""
    org = Org()
    try:
        number = float(Decimal(units).scaleb(-scale))
        org.add("Thing__c", Double__c=number)
        assert Decimal(org.bulk("SELECT Double__c FROM Thing__c")[0]["Double__c"]) == Decimal(repr(number))
    finally:
        org.store.close()


@given(number=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=examples(60))
def test_numbers_mean_the_same_by_both_ways(number: float) -> None:
    """Bulk's text of a double reads back as the number that REST gives, to the last bit."""
    org = Org()
    try:
        org.add("Thing__c", Double__c=number)
        assert org.rows("SELECT Double__c FROM Thing__c")[0]["Double__c"] == number
        assert float(org.bulk("SELECT Double__c FROM Thing__c")[0]["Double__c"]) == number
    finally:
        org.store.close()
