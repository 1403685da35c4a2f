"""Laws of SOQL's grammar: what is understood, and how the rest is refused."""

from __future__ import annotations

import pytest

from halocline.emulator.errors import ApiError
from halocline.emulator.soql.ast import Call, Comparison, FieldPath, Item, Junction, Membership, Not, Ordering, Query, SemiJoin
from halocline.emulator.soql.parser import parse


def refused(soql: str) -> ApiError:
    """The refusal of a query."""
    with pytest.raises(ApiError) as caught:
        parse(soql)
    return caught.value


def test_every_clause_is_read() -> None:
    """All clauses in their order make one query."""
    query = parse(
        "select Id, Owner.Name, (SELECT Id FROM Contacts) from Account a using scope everything where Name = 'x' and (NOT Id IN "
        "(SELECT AccountId FROM Contact)) order by Name desc nulls last, Id limit 10 offset 5 for view"
    )
    assert [type(i) for i in query.items] == [Item, Item, Query]
    assert (query.source.text, query.alias, query.scope, query.limit, query.offset) == ("Account", "a", "everything", 10, 5)
    assert isinstance(query.where, Junction)
    assert isinstance(query.where.operands[0], Comparison)
    assert isinstance(query.where.operands[1], Not)
    assert isinstance(query.where.operands[1].operand, SemiJoin)
    assert [(o.descending, o.nulls_first) for o in query.order_by] == [(True, False), (False, True)]


def test_groups_and_aliases_are_read() -> None:
    """GROUP BY, HAVING and aliases are kept."""
    query = parse("SELECT Industry, COUNT(Id) n, CALENDAR_YEAR(CreatedDate) FROM Account GROUP BY Industry HAVING COUNT(Id) > 1")
    aliases = [i.alias for i in query.items if isinstance(i, Item)]
    assert aliases == [None, "n", None]
    assert query.group_by == (FieldPath(("Industry",), query.group_by[0].at),)
    assert isinstance(query.having, Comparison)
    assert isinstance(query.having.left, Call)


def test_operators_are_read_in_any_case() -> None:
    """<> is !=, and words are operators in any case."""
    query = parse("SELECT Id FROM A WHERE A <> 1 OR B not In (1, 2) OR C Includes ('x;y') OR D like '%' OR E = Last_N_Days:3")
    assert isinstance(query.where, Junction)
    kinds = [o.operator for o in query.where.operands if isinstance(o, Comparison | Membership)]
    assert kinds == ["!=", "not in", "includes", "like", "="]


def test_ordering_without_words_is_ascending_with_nulls_first() -> None:
    """Nulls sort first unless the query says otherwise."""
    ordering = parse("SELECT Id FROM A ORDER BY B").order_by[0]
    assert ordering == Ordering(ordering.expression, descending=False, nulls_first=True)


@pytest.mark.parametrize(
    ("soql", "place", "token"),
    [
        ("SELECT Id FORM Account", "Row:1:Column:11", "'FORM'"),
        ("SELECT FROM Account", "Row:1:Column:13", "'Account'"),
        ("SELECT Id FROM Account WHERE", "Row:1:Column:29", "'<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = foo", "Row:1:Column:37", "'foo'"),
        ("SELECT Id\nFROM Account\nWHERE A = 1 AND B = 2 OR C = 3", "Row:3:Column:23", "'OR'"),
        ("SELECT Id FROM Account WHERE A = 1 AND NOT B = 2", "Row:1:Column:40", "'NOT'"),
        ("SELECT Id FROM Account WHERE NOT A = 1 AND B = 2", "Row:1:Column:40", "'AND'"),
        ("SELECT Id FROM Account LIMIT x", "Row:1:Column:30", "'x'"),
        ("SELECT Id FROM Account WHERE (A = 1", "Row:1:Column:36", "'<EOF>'"),
        ("SELECT Id FROM Account FOR UPDATE", "Row:1:Column:28", "'UPDATE'"),
        ("SELECT Id FROM Account ORDER BY A LIMIT 5 WHERE B = 1", "Row:1:Column:43", "'WHERE'"),
        ("UPDATE Account", "Row:1:Column:1", "'UPDATE'"),
        ("SELECT * FROM Account", "Row:1:Column:8", "'*'"),
    ],
)
def test_a_slip_is_refused_at_its_place(soql: str, place: str, token: str) -> None:
    """MALFORMED_QUERY shows the line, a caret under the token, its row and column, and the token."""
    error = refused(soql)
    assert error.code == "MALFORMED_QUERY"
    assert f"ERROR at {place}\nunexpected token: {token}" in error.message
    _, shown, caret, _, _ = error.message.split("\n")
    word = token.strip("'")
    assert word == "<EOF>" or shown[caret.index("^") :].startswith(word)


@pytest.mark.parametrize(
    ("soql", "words"),
    [
        ("SELECT Id FROM A ALL ROWS", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM A WHERE B = :c", "Bind variables only allowed in Apex code"),
        ("SELECT TYPEOF W WHEN A THEN B END FROM C", "TYPEOF is not supported"),
        ("SELECT A FROM B GROUP BY ROLLUP(A)", "ROLLUP is not supported"),
        ("SELECT A FROM B WITH SECURITY_ENFORCED", "WITH clauses are not supported"),
        ("SELECT A FROM B WHERE C = '" + "x" * 4_001 + "'", "longer than 4,000"),
        ("SELECT A FROM B WHERE " + "(" * 200 + "C = 1" + ")" * 200, "nested parentheses"),
        ("SELECT A FROM B WHERE C IN ('" + "x" * 100_000 + "')", "100,000 characters"),
    ],
)
def test_what_is_not_supported_says_so(soql: str, words: str) -> None:
    """Nothing is ignored silently."""
    error = refused(soql)
    assert (error.status, error.code) == (400, "MALFORMED_QUERY")
    assert words in error.message


def test_offset_has_its_own_refusal() -> None:
    """OFFSET above 2,000 is NUMBER_OUTSIDE_VALID_RANGE."""
    assert refused("SELECT Id FROM A OFFSET 2001").code == "NUMBER_OUTSIDE_VALID_RANGE"
    assert parse("SELECT Id FROM A OFFSET 2000").offset == 2_000


def test_long_lines_are_shown_around_the_slip() -> None:
    """The message quotes a window of a long line, with the caret still under the slip."""
    error = refused(
        "SELECT " + ", ".join(f"Field{n}__c" for n in range(60)) + " FORM Account WHERE Name = 'x' AND Name = 'y' LIMIT 2"
    )
    _, shown, caret, place, _ = error.message.split("\n")
    assert len(shown) <= 80
    assert shown[caret.index("^") :].startswith("FORM")
    assert place == f"ERROR at Row:1:Column:{7 + sum(len(f'Field{n}__c, ') for n in range(60))}"
