"""Laws of large and strange queries: they are answered or refused, and never break the emulator."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.query_org import Org
from tests.examples import examples

from halocline.emulator.errors import ApiError

WORDS = re.split(
    r"\s+",
    r"""SELECT FROM WHERE AND OR NOT IN LIKE INCLUDES EXCLUDES GROUP BY ROLLUP CUBE GROUPING HAVING ORDER ASC DESC NULLS FIRST
    LAST LIMIT OFFSET FOR VIEW REFERENCE UPDATE TRACKING ALL ROWS USING SCOPE mine everything WITH TYPEOF WHEN THEN ELSE END AS
    Id Name Account Contact Task Who Contacts ChildAccounts Owner.Name Account.Name AccountId Industry Picks__c Thing__c
    Nope__c COUNT COUNT() COUNT(Id) SUM(AnnualRevenue) CALENDAR_YEAR(CreatedDate) toLabel(Industry) FORMAT(CreatedDate)
    FIELDS(ALL) FIELDS(STANDARD) convertTimezone(CreatedDate) DISTANCE( GEOLOCATION( ( ) ( ) , , . : = != <> < > <= >= * $
    'a' 'x;y' '' '\' '\u0041' ' 1 -1 1.5 1e3 2000 2001 200 2026-01-01 2026-01-01T00:00:00Z 2026-02-30 08:00:00Z TODAY
    LAST_N_DAYS:3 N_DAYS_AGO:x true null c.Name c a""",
)
PIECES = [
    "SELECT Id FROM Account",
    "SELECT Name, COUNT(Id) FROM Account GROUP BY ROLLUP(Name)",
    "SELECT TYPEOF Who WHEN Contact THEN Id ELSE Name END FROM Task",
    "(SELECT Id FROM Contacts)",
    "WHERE Id IN (SELECT AccountId FROM Contact)",
    "WHERE Name = 'x' AND (Name LIKE 'a%' OR Industry = null)",
    "ORDER BY Name DESC NULLS LAST LIMIT 10 OFFSET 5",
]


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    """A little of everything."""
    made = Org()
    account = made.add("Account", Name="x", Industry="Zinc")
    made.add("Task", WhoId=made.add("Contact", LastName="y", AccountId=account))
    yield made
    made.store.close()


def asked(org: Org, soql: str, *, bulk: bool) -> str | int:
    """Ask: `answered`, or the status of the refusal. Anything else is raised."""
    try:
        query = org.query(soql, bulk=bulk)
        if bulk:
            list(query.batches(10))
        else:
            query.total_size()
            query.records("66.0", 0, 2_000)
    except ApiError as refused:
        return refused.status
    return "answered"


@settings(max_examples=examples(400))
@given(
    words=st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(PIECES), st.text(max_size=3)), max_size=14),
    bulk=st.booleans(),
)
def test_any_text_is_answered_or_refused(org: Org, words: list[str], bulk: bool) -> None:
    """Whatever is asked ends in records or in a refusal with status 400."""
    assert asked(org, " ".join(words), bulk=bulk) in ("answered", 400)


EXPRESSIONS = [
    *("Id", "Name", "Industry", "Owner.Name", "Parent.Owner.Name", "CreatedDate", "AnnualRevenue", "BillingAddress", "IsDeleted"),
    *("RevenueEach__c", "COUNT(Id)", "COUNT()", "SUM(AnnualRevenue)", "AVG(NumberOfEmployees)", "MIN(Name)", "MAX(CreatedDate)"),
    *("COUNT_DISTINCT(Industry)", "GROUPING(Industry)", "toLabel(Industry)", "FORMAT(AnnualRevenue)", "FORMAT(COUNT(Id))"),
    *("CALENDAR_YEAR(CreatedDate)", "DAY_ONLY(convertTimezone(CreatedDate))", "WEEK_IN_YEAR(CreatedDate)", "Description"),
    *("toLabel(COUNT(Id))", "SUM(SUM(AnnualRevenue))", "COUNT(FORMAT(Name))", "GROUPING(COUNT(Id))", "MAX(toLabel(Industry))"),
]
VALUES = [
    "'x'",
    "''",
    "1",
    "9" * 20,
    "1.5",
    "null",
    "true",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "TODAY",
    "LAST_N_DAYS:3",
    "('x', 'y')",
]
OPERATORS = ["=", "!=", "<", ">=", "LIKE", "IN", "NOT IN", "INCLUDES", "EXCLUDES"]
expressions = st.sampled_from(EXPRESSIONS)


@st.composite
def well_formed(draw: st.DrawFn) -> str:
    """A query that the grammar allows, whatever it may mean."""
    soql = f"SELECT {', '.join(draw(st.lists(expressions, min_size=1, max_size=3)))} FROM Account"
    if draw(st.booleans()):
        soql += f" WHERE {draw(expressions)} {draw(st.sampled_from(OPERATORS))} {draw(st.sampled_from(VALUES))}"
    kind = draw(st.sampled_from(["", "{}", "{}", "ROLLUP({})", "CUBE({})"]))
    if kind:
        soql += f" GROUP BY {kind.format(', '.join(draw(st.lists(expressions, min_size=1, max_size=3))))}"
        if draw(st.booleans()):
            soql += f" HAVING {draw(expressions)} {draw(st.sampled_from(OPERATORS))} {draw(st.sampled_from(VALUES))}"
    if draw(st.booleans()):
        soql += f" ORDER BY {draw(expressions)} DESC, {draw(expressions)}"
    return soql + draw(st.sampled_from(["", " LIMIT 2", " LIMIT 2 OFFSET 1", f" LIMIT {'9' * 20}"]))


@settings(max_examples=examples(1_000))
@given(soql=well_formed(), bulk=st.booleans())
def test_what_the_grammar_allows_is_answered_or_refused(org: Org, soql: str, bulk: bool) -> None:
    """Any mix of expressions and clauses has a meaning or a refusal; SQLite never sees what it cannot do."""
    assert asked(org, soql, bulk=bulk) in ("answered", 400)


@settings(max_examples=examples(300))
@given(data=st.data())
def test_a_good_query_with_a_slip_is_answered_or_refused(org: Org, data: st.DataObject) -> None:
    """A character or word that is lost, doubled or changed does no more than that."""
    soql = data.draw(st.sampled_from([f"{a} {b}" for a in PIECES[:3] for b in ("", *PIECES[4:])]))
    tokens = soql.split(" ")
    at = data.draw(st.integers(0, len(tokens) - 1))
    tokens[at] = data.draw(st.sampled_from(["", tokens[at] * 2, f"{tokens[at]} {tokens[at]}", tokens[at][1:], *WORDS]))
    assert asked(org, " ".join(tokens), bulk=False) in ("answered", 400)


def test_thousands_of_conditions_are_one_flat_expression(org: Org) -> None:
    """As many conditions as fit into a query, and as many values, are answered."""
    many = " OR ".join(f"Name = 'n{n}'" for n in range(4_000))
    assert len(many) < 100_000
    assert org.rows(f"SELECT Id FROM Account WHERE {many}") == []
    assert len(org.rows(f"SELECT Id FROM Account WHERE {many} OR Name = 'X'")) == 1
    accented = ", ".join(f"'é{n}'" for n in range(5_000))
    assert len(org.rows(f"SELECT Id FROM Account WHERE Name IN ({accented}, 'x')")) == 1
    plain = ", ".join(f"'{n}'" for n in range(11_000))
    assert len(org.rows(f"SELECT Id FROM Account WHERE Name NOT IN ({plain})")) == 1
    for nested in ("(" * 99 + "Name = 'x'" + " AND Id != null)" * 99, "(Id != null AND " * 99 + "Name = 'x'" + ")" * 99):
        assert len(org.rows(f"SELECT Id FROM Account WHERE {nested}")) == 1


def test_what_sqlite_cannot_take_is_too_complicated(org: Org) -> None:
    """A statement beyond SQLite's limits is refused as real orgs refuse what is beyond theirs; a Bulk job when it is made."""
    deep = "(Id != null AND (Id = null OR " * 49 + "Id != null" + "))" * 49
    with pytest.raises(ApiError, match="the filter conditions are too complicated") as refused:
        org.rows(f"SELECT Id FROM Account WHERE {deep}")
    assert (refused.value.status, refused.value.code) == (400, "QUERY_TOO_COMPLICATED")
    with pytest.raises(ApiError, match="QUERY_TOO_COMPLICATED"):
        org.query(f"SELECT Id FROM Account WHERE {deep}", bulk=True)


def test_no_rows_and_the_last_offset(org: Org) -> None:
    """LIMIT 0 gives nothing, OFFSET goes up to 2,000."""
    assert org.rows("SELECT Id FROM Account LIMIT 0") == []
    assert org.query("SELECT COUNT() FROM Account LIMIT 0").total_size() == 0
    assert org.rows("SELECT Id FROM Account OFFSET 2000") == []
    assert org.refusal("SELECT Id FROM Account OFFSET 2001").code == "NUMBER_OUTSIDE_VALID_RANGE"


def test_clauses_for_people_change_nothing(org: Org) -> None:
    """FOR VIEW, FOR REFERENCE and FOR UPDATE are taken; UPDATE TRACKING is for knowledge articles only."""
    for tail in ("FOR VIEW", "FOR REFERENCE", "FOR UPDATE", "FOR VIEW FOR REFERENCE"):
        assert len(org.rows(f"SELECT Id FROM Account {tail}")) == 1
    assert "only supported for knowledge articles" in org.refusal("SELECT Id FROM Account UPDATE TRACKING").message
    assert "unexpected token: 'NONSENSE'" in org.refusal("SELECT Id FROM Account UPDATE NONSENSE").message


def test_scopes_filter_by_owner(org: Org) -> None:
    """The scope `mine` shows what the user owns; those of teams and territories are refused, others unknown."""
    assert len(org.rows("SELECT Id FROM Account USING SCOPE mine WHERE Name = 'x'")) == 1
    other = org.add("Account", Name="other", OwnerId=org.add("User", LastName="o", Username="o@x"))
    assert other not in [r["Id"] for r in org.rows("SELECT Id FROM Account USING SCOPE Mine")]
    assert other in [r["Id"] for r in org.rows("SELECT Id FROM Account USING SCOPE everything")]
    assert "'team' is not supported for entity Account" in org.refusal("SELECT Id FROM Account USING SCOPE team").message
    assert "unexpected token: 'neighbours'" in org.refusal("SELECT Id FROM Account USING SCOPE neighbours").message
