"""SOQL text: nothing that is put into it can become something else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.connectors.salesforce import soql
from halocline.errors import BadQuery


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 2, 1), "2026-02-01"),
        (datetime(2026, 2, 1, 3, 4, 5, tzinfo=UTC), "2026-02-01T03:04:05Z"),
        (datetime(2026, 2, 1, 3, 4, 5, 678000, tzinfo=UTC), "2026-02-01T03:04:05.678Z"),
        (datetime(2026, 2, 1, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-02-01T01:04:05Z"),
        ('O\'Hara \\ "x"', r"""'O\'Hara \\ "x"'"""),
        ("a\nb\rc\td", r"'a\nb\rc\td'"),
    ],
)
def test_literals_are_spelled_as_salesforce_reads_them(value: soql.Value, text: str) -> None:
    """Every kind of value has one spelling; text is quoted, its quotes and backslashes escaped, instants are in UTC."""
    assert soql.literal(value) == text


@given(st.text())
def test_no_text_gets_out_of_its_quotes(text: str) -> None:
    """Whatever the text, the literal is one quoted string: its only unescaped quotes are the first and the last character."""
    literal = soql.literal(text)
    bare = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert literal[0] == literal[-1] == "'"
    assert "'" not in bare
    assert not bare.endswith("\\")


def test_a_naive_instant_is_refused() -> None:
    """A datetime without a zone would silently mean some local time."""
    with pytest.raises(ValueError, match="time zone"):
        soql.literal(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


@pytest.mark.parametrize("name", ["Id FROM User--", "Na me", "", "1x", "a'b", "Owner..Name", ".Name", "Größe"])
def test_names_are_nothing_but_names(name: str) -> None:
    """What could end a name and begin something else is refused."""
    with pytest.raises(BadQuery):
        soql.select(["Id", name], "Account")
    with pytest.raises(BadQuery):
        soql.count(name)


def test_a_path_is_the_name_of_a_field_and_of_no_object() -> None:
    """A parent's field is selected by its path."""
    assert soql.select(["Id", "Owner.Name"], "Account") == "SELECT Id, Owner.Name FROM Account"
    with pytest.raises(BadQuery):
        soql.count("Owner.Name")


def test_conditions_are_anded_and_none_is_left_out() -> None:
    """A SELECT holds the conditions that there are, the user's in parentheses of its own."""
    where = soql.condition(" A = 1 OR B = 2 ")
    bounds = soql.window("SystemModstamp", "2026-01-01T00:00:00Z", high="2026-01-02T00:00:00Z")
    assert soql.select(["Id", "Name"], "Account", conditions=(where, None, bounds)) == (
        "SELECT Id, Name FROM Account WHERE (A = 1 OR B = 2)"
        " AND SystemModstamp >= 2026-01-01T00:00:00Z AND SystemModstamp < 2026-01-02T00:00:00Z"
    )
    assert soql.count("Account") == "SELECT COUNT() FROM Account"
    assert soql.window("SystemModstamp", None, high="2026-01-02T00:00:00Z") is None
    assert soql.any_of("Id", ["a", "b'c"]) == r"Id IN ('a', 'b\'c')"


@pytest.mark.parametrize(
    "where",
    [
        "Name = 'a'",
        "Name = 'it\\'s (not) -- a comment; LIMIT 5'",
        "(A = 1) OR (B = 2 AND (C = 3))",
        "Id IN (SELECT AccountId FROM Contact WHERE Name LIKE 'x%')",
        "Credit_Limit__c > 5 AND Order.Name = 'x' AND Group.Type = 'y'",
        "CreatedDate = LAST_N_DAYS:20",
        "Name = 'ends with a backslash \\\\'",
    ],
)
def test_good_conditions_pass_unchanged(where: str) -> None:
    """A condition is put in parentheses and otherwise left as it was, whatever its quoted text looks like."""
    assert soql.condition(where) == f"({where})"


@pytest.mark.parametrize("where", [None, "", "  \n"])
def test_no_condition_is_none(where: str | None) -> None:
    """Nothing, or nothing but blanks, is no condition."""
    assert soql.condition(where) is None


@pytest.mark.parametrize(
    "where",
    [
        "Name = 'a",
        "Name = 'a\\'",
        "A = 1) OR (B = 2",
        "(A = 1",
        "A = 1)",
        "A = 1 -- rest",
        "A = 1 /* x */",
        "A = 1; DELETE",
        "WHERE A = 1",
        "SELECT Id FROM Account",
        "A = 1 LIMIT 5",
        "A = 1\nlimit 5",
        "A = 1 OFFSET 5",
        "A = 1 ORDER  BY Id",
        "A = 1 GROUP BY Id",
        "A = 1 HAVING COUNT(Id) > 1",
        "A = 1 WITH SECURITY_ENFORCED",
        "A = 1 FOR UPDATE",
        "A = 1 ALL ROWS",
        "(A = 1) LIMIT 5 OR (B = 2)",
    ],
)
def test_what_is_no_condition_is_refused_before_it_is_sent(where: str) -> None:
    """Unbalanced quotes or parentheses, comments and other clauses are told at once, with what was given."""
    with pytest.raises(BadQuery, match="where clause"):
        soql.condition(where)


@given(st.text(alphabet="ab'\\()= \n", max_size=12))
def test_a_condition_never_escapes_its_parentheses(where: str) -> None:
    """What passes is balanced: outside of quotes no closing parenthesis matches the one that we put in front."""
    try:
        wrapped = soql.condition(where)
    except BadQuery:
        return
    depth, quoted, skip = 0, False, False
    for number, letter in enumerate(wrapped or "()"):
        if skip or (quoted and letter == "\\"):
            skip = not skip
        elif letter == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(letter, 0)
            assert depth > 0 or number == len(wrapped or "()") - 1
    assert depth == 0
    assert not quoted


def test_uri_bytes_count_what_is_sent() -> None:
    """The estimate is the length of the path and the percent-encoded query, as the transport encodes it."""
    query = "SELECT Id FROM Account WHERE Name = 'Ä b'"
    sent = f"/services/data/v67.0/queryAll?q={quote(query, safe='')}"
    assert unquote(sent).endswith(query)
    assert soql.uri_bytes(query, base="/services/data/v67.0") == len(sent)


def test_a_query_longer_than_salesforce_reads_is_refused() -> None:
    """SOQL ends at 100,000 characters; more is told before it is sent."""
    with pytest.raises(BadQuery, match="100,000 characters"):
        soql.select([f"Field{n}__c" for n in range(10_000)], "Account")
