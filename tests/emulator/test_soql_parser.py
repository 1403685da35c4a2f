"""Laws of SOQL's grammar: what is understood, and how the rest is refused."""

from __future__ import annotations

import pytest

from halocline.emulator.errors import ApiError
from halocline.emulator.soql.ast import Call, Comparison, FieldPath, Item, Junction, Membership, Not, Ordering, Query, SemiJoin
from halocline.emulator.soql.parser import parse
from halocline.emulator.soql.refusal import refusal


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
        ("SELECT Id FORM Account", "Row:1:Column:10", "'FORM'"),
        ("SELECT FROM Account", "Row:1:Column:7", "'FROM'"),
        ("SELECT Id, FROM Account", "Row:1:Column:11", "'FROM'"),
        ("SELECT Id FROM Account WHERE", "Row:1:Column:28", "'<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = foo", "Row:1:Column:36", "'foo'"),
        ("SELECT Id\nFROM Account\nWHERE A = 1 AND B = 2 OR C = 3", "Row:3:Column:22", "'OR'"),
        ("SELECT Id FROM Account WHERE A = 1 AND NOT B = 2", "Row:1:Column:39", "'NOT'"),
        ("SELECT Id FROM Account WHERE NOT A = 1 AND B = 2", "Row:1:Column:39", "'AND'"),
        ("SELECT Id FROM Account LIMIT x", "Row:1:Column:29", "'x'"),
        ("SELECT Id FROM Account WHERE (A = 1", "Row:1:Column:35", "'<EOF>'"),
        ("SELECT Id FROM Account FOR PLEASURE", "Row:1:Column:27", "'PLEASURE'"),
        ("SELECT Id FROM Account ORDER BY A LIMIT 5 WHERE B = 1", "Row:1:Column:42", "'WHERE'"),
        ("SELECT * FROM Account", "Row:1:Column:7", "'*'"),
    ],
)
def test_a_slip_is_refused_just_before_its_place(soql: str, place: str, token: str) -> None:
    """MALFORMED_QUERY shows the line, a caret one place before the token, row, a column that counts from 0, and the token."""
    error = refused(soql)
    assert error.code == "MALFORMED_QUERY"
    assert f"ERROR at {place}\nunexpected token: {token}" in error.message
    _, shown, caret, _, _ = error.message.split("\n")
    word = token.strip("'")
    assert word == "<EOF>" or shown[caret.index("^") + 1 :].startswith(word)


def test_a_slip_at_the_beginning_has_no_place() -> None:
    """Where a query begins with what cannot stand there, only the token is told."""
    assert refused("UPDATE Account").message == "unexpected token: 'UPDATE'"


@pytest.mark.parametrize(
    ("soql", "words"),
    [
        ("SELECT Id FROM A ALL ROWS", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM A WHERE B = :c", "Bind variables only allowed in Apex code"),
        ("SELECT DISTANCE(A, GEOLOCATION(1, 2), 'mi') FROM B", "DISTANCE is not supported"),
        ("SELECT A FROM B GROUP BY ROLLUP(A, C, D, E)", "ROLLUP allows at most 3 fields"),
        ("SELECT A FROM B ORDER BY A FOR UPDATE", "FOR UPDATE cannot be used with ORDER BY"),
        ("SELECT A FROM B ORDER BY " + ", ".join("C" * n for n in range(1, 34)), "at most 32 fields"),
        ("SELECT A FROM B WITH SECURITY_ENFORCED", "SECURITY_ENFORCED not allowed in this context"),
        ("SELECT A FROM B WITH USER_MODE", "USER_MODE not allowed in this context"),
        ("SELECT A FROM B WITH DATA CATEGORY C ABOVE D", "WITH clauses are not supported"),
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


# What real orgs show of long queries, as users quote it, and the word that is wrong.
QUOTED = [
    ("CreatedById,OCE__ActualCap__c,TPI_Product__c,Name,OCE__JobId__c", "TPI_Product__c"),
    ("Test_Phone__c,Test_Picklist__c,Test_Text1__c,Test_Text_Area__c", "Test_Text1__c"),
    ("Account.Phone, Account.Rating, Account.RecordTypeId, Account.ShippingCity", "Account.RecordTypeId"),
    ("WebEmail__c, Case_Resolution_Summary__c, MW_Case_ID__c, Escalation_Helper_Contact__c", "MW_Case_ID__c"),
    ("Opportunity__r.Name, Opportunity__r.Id, Stage" + " " * 26, "Stage"),
]


@pytest.mark.parametrize(("shown", "word"), QUOTED)
@pytest.mark.parametrize("separator", [",", " "])
def test_long_lines_are_shown_around_the_place(shown: str, word: str, separator: str) -> None:
    """The message quotes 30 characters on either side and the words that they begin and end in, the caret under the place."""
    soql = f"SELECT A, B{separator}{shown}{separator}D FROM E"
    at = soql.index(word)
    error = refusal(soql, at, "x")
    assert error.message == f"\n{shown}\n{' ' * shown.index(word)}^\nERROR at Row:1:Column:{at + 1}\nx"


def test_only_the_line_with_the_place_is_shown() -> None:
    """A query of several lines is quoted by the one that is wrong, with its row."""
    error = refusal("SELECT Id\n  FROM Nope\nLIMIT 1", 17, "x")
    assert error.message == "\n  FROM Nope\n       ^\nERROR at Row:2:Column:8\nx"
