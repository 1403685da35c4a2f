"""WHERE means what SOQL means by it: random conditions over small data, against a model in plain Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.small_org import USER, small_catalog
from tests.examples import examples

from halocline.emulator.errors import ApiError
from halocline.emulator.query import prepare
from halocline.emulator.store import Store

WORDS = [None, "a", "A", "ab", "Ab", "é", "É", "straße", "a_b", "a%b", "a\\b", "*", "[x]", "?", "it's", "a\nb", "𝒳y"]
NUMBERS = [None, -1.5, 0.0, 0.1, 2.0, 1e10]
INTS = [None, -3, 0, 7]
DATES = [None, "2026-01-01", "2026-06-30"]
MOMENTS = [None, "2026-01-01T00:00:00.000Z", "2026-06-30T23:59:59.000Z"]
PICKS = [None, "Red", "Red;Green", "Blue;Red", "Green"]

Row = dict[str, object]
Model = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """A condition as SOQL text and as a function of a row."""

    soql: str
    holds: Model


@pytest.fixture(scope="module")
def org() -> Iterator[Store]:
    """A hundred things with every mix of values."""
    store = Store(small_catalog())
    thing = store.catalog.get("Thing__c")
    assert thing is not None
    for n in range(120):
        values = {
            "Name": str(n),
            "Text__c": WORDS[n % len(WORDS)],
            "Exact__c": WORDS[(n * 5 + n // 17) % len(WORDS)],
            "Double__c": NUMBERS[n % len(NUMBERS)],
            "Int__c": INTS[n // 3 % len(INTS)],
            "Flag__c": n % 3 == 0,
            "Date__c": DATES[n // 2 % len(DATES)],
            "Moment__c": MOMENTS[n % len(MOMENTS)],
            "Picks__c": PICKS[n // 5 % len(PICKS)],
        }
        store.insert(thing, values, user_id=USER)
    yield store
    store.close()


def quote(text: str) -> str:
    """A SOQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def fold(value: object, *, exact: bool) -> object:
    """The form in which text is compared: letters of one case, each by itself (ß is not ss)."""
    return value if exact or not isinstance(value, str) else "".join(c.lower() if len(c.lower()) == 1 else c for c in value)


def matches(pattern: str, value: object, *, exact: bool) -> bool:
    """LIKE, where % is any text, _ one character, and a backslash makes the next one plain."""
    if not isinstance(value, str):
        return False
    wild = {"%": "(?s:.*)", "_": "(?s:.)"}
    parts = [wild.get(plain) or re.escape(escaped or plain) for escaped, plain in re.findall(r"\\(.)|(.)", pattern, re.DOTALL)]
    return re.fullmatch("".join(parts), value, re.NOFLAG if exact else re.IGNORECASE) is not None


texts = st.sampled_from(["Text__c", "Exact__c"])


@st.composite
def text_cases(draw: st.DrawFn) -> Case:
    """= != IN NOT IN on text, null and the empty string among the values."""
    field = draw(texts)
    exact = field == "Exact__c"
    wanted = draw(st.lists(st.sampled_from([*WORDS, "", "zz", "STRASSE", "STRAßE"]), min_size=1, max_size=3))
    written = ", ".join("null" if w is None else quote(w) for w in wanted)
    keys = {fold(w or None, exact=exact) for w in wanted}
    if len(wanted) == 1:
        operator = draw(st.sampled_from(["=", "!="]))
        return Case(f"{field} {operator} {written}", lambda r: (fold(r[field], exact=exact) in keys) == (operator == "="))
    operator = draw(st.sampled_from(["IN", "NOT IN"]))
    return Case(f"{field} {operator} ({written})", lambda r: (fold(r[field], exact=exact) in keys) == (operator == "IN"))


@st.composite
def like_cases(draw: st.DrawFn) -> Case:
    """LIKE with wildcards and escaped ones."""
    field = draw(texts)
    pieces = draw(
        st.lists(st.sampled_from(["a", "B", "É", "%", "_", "\\_", "\\%", "\\\\", "*", "[", "?", "\n", "𝒳"]), max_size=4)
    )
    pattern = "".join(pieces)
    written = "'" + pattern.replace("\n", "\\n") + "'"
    return Case(f"{field} LIKE {written}", lambda r: matches(pattern, r[field], exact=field == "Exact__c"))


def ordered(value: object, operator: str, wanted: object) -> bool:
    """A comparison, false where the value is null, but != is true there."""
    if value is None:
        return operator == "!="
    sign = (value > wanted) - (value < wanted)  # type: ignore[operator]  # both of the field's own type
    held: dict[str, bool] = {"=": sign == 0, "!=": sign != 0, "<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}
    return held[operator]


@st.composite
def ordered_cases(draw: st.DrawFn) -> Case:
    """All six comparisons on numbers, dates and datetimes."""
    field, values = draw(st.sampled_from([("Double__c", NUMBERS), ("Int__c", INTS), ("Date__c", DATES), ("Moment__c", MOMENTS)]))
    wanted = draw(st.sampled_from([v for v in values if v is not None]))  # type: ignore[attr-defined]
    operator = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
    return Case(f"{field} {operator} {wanted}", lambda r: ordered(r[field], operator, wanted))


@st.composite
def other_cases(draw: st.DrawFn) -> Case:
    """Nulls, booleans and multi-select picklists."""
    field = draw(st.sampled_from(["Double__c", "Date__c", "Moment__c", "Text__c", "Picks__c"]))
    flag = draw(st.booleans())
    has = "Red" if draw(st.booleans()) else "GREEN"
    return draw(
        st.sampled_from(
            [
                Case(f"{field} = null", lambda r: r[field] is None),
                Case(f"{field} != NULL", lambda r: r[field] is not None),
                Case(f"Flag__c = {str(flag).lower()}", lambda r: r["Flag__c"] == flag),
                Case(f"Flag__c != {str(flag).upper()}", lambda r: r["Flag__c"] != flag),
                Case("Flag__c = null", lambda r: not r["Flag__c"]),
                Case(f"Picks__c INCLUDES ('{has}', 'Blue;red')", lambda r: picked(r, {has}) or picked(r, {"Blue", "Red"})),
                Case(f"Picks__c EXCLUDES ('{has}')", lambda r: not picked(r, {has})),
            ]
        )
    )


def picked(row: Row, wanted: set[str]) -> bool:
    """Whether all wanted entries are picked."""
    return {w.lower() for w in wanted} <= set(str(row["Picks__c"] or "").lower().split(";"))


def joined(cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    """Conditions made of conditions; mixed operators always in parentheses."""
    negated = cases.map(lambda c: Case(f"(NOT ({c.soql}))", lambda r: not c.holds(r)))
    several = st.lists(cases, min_size=2, max_size=3)
    both = several.map(lambda cs: Case("(" + " AND ".join(c.soql for c in cs) + ")", lambda r: all(c.holds(r) for c in cs)))
    either = several.map(lambda cs: Case("(" + " or ".join(c.soql for c in cs) + ")", lambda r: any(c.holds(r) for c in cs)))
    return st.one_of(negated, both, either)


conditions = st.recursive(st.one_of(text_cases(), like_cases(), ordered_cases(), other_cases()), joined, max_leaves=6)


@settings(max_examples=examples(300))
@given(case=conditions)
def test_where_returns_the_rows_that_the_model_returns(org: Store, case: Case) -> None:
    """Any condition picks exactly the rows for which it is true, in REST and in Bulk alike."""
    thing = org.catalog.get("Thing__c")
    assert thing is not None
    rows = [org.get(thing, str(r[0])) for r in org.read("SELECT Id FROM Thing__c ORDER BY rowid")]
    expected = [str(r["Name"]) for r in rows if r is not None and case.holds(r)]
    soql = f"SELECT Name FROM Thing__c WHERE {case.soql}"
    assert [r["Name"] for r in prepare(org, soql, all_rows=False).records("66.0", 0, 1_000)] == expected, soql
    exported = [n for b in prepare(org, soql, all_rows=False, bulk=True).batches(50) for n in b.column(0).to_pylist()]
    assert sorted(exported) == sorted(expected)


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("Text__c = 5", "INVALID_FIELD", "field 'Text__c' must be of type string and should be enclosed in quotes"),
        ("Double__c = '5'", "INVALID_FIELD", "must be of type double and should not be enclosed in quotes"),
        ("Moment__c > 2026-01-01", "INVALID_FIELD", "must be of type dateTime and should not be enclosed in quotes"),
        ("Date__c > 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date and should not be"),
        ("Flag__c = 'true'", "INVALID_FIELD", "must be of type boolean and should not be"),
        ("Text__c = TODAY", "INVALID_FIELD", "must be of type string"),
        ("Long__c = 'x'", "INVALID_FIELD", "field 'Long__c' can not be filtered in a query call"),
        ("Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: nonsense"),
        ("Id LIKE 'a00%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("Double__c > null", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on double field"),
        ("Flag__c > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on boolean field"),
        ("Text__c INCLUDES ('x')", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on string field"),
        ("Nope__c = 1", "INVALID_FIELD", "No such column 'Nope__c' on entity 'Thing__c'"),
        ("Account__r.Nope = 1", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("Nope__r.Name = 'x'", "INVALID_FIELD", "Didn't understand relationship 'Nope__r' in field path"),
        ("COUNT(Id) > 1", "MALFORMED_QUERY", "should not be aggregated"),
        ("Long__c LIKE 'x'", "INVALID_FIELD", "field 'Long__c' can not be filtered in a query call"),
        ("Account__r.BillingAddress = 'x'", "INVALID_FIELD", "Address fields can only be filtered using Distance expressions"),
        ("Place__c = 'x'", "INVALID_FIELD", "field 'Place__c' can not be filtered in a query call"),
        ("Moment__c = LAST_N_DAYS:99999", "MALFORMED_QUERY", "out of range"),
    ],
)
def test_what_cannot_be_compared_is_refused_at_its_place(org: Store, where: str, code: str, words: str) -> None:
    """A wrong type, operator or name is refused with Salesforce's code and a place, never answered with no rows."""
    with pytest.raises(ApiError) as refused:
        prepare(org, f"SELECT Id FROM Thing__c WHERE {where}", all_rows=False)
    assert refused.value.code == code
    assert words in refused.value.message
    assert "ERROR at Row:1:Column:" in refused.value.message


def test_a_value_that_does_not_fit_is_refused_where_its_field_stands(org: Store) -> None:
    """The caret stands under the field, not under the value, in a list too; a date that cannot be read has its own place."""
    for where in ("Name != 'a' AND Int__c = 'x'", "Name != 'a' AND Int__c IN (1, 'x')", "Name != 'a' AND Account__c = 'x'"):
        with pytest.raises(ApiError) as refused:
            prepare(org, f"SELECT Id FROM Thing__c WHERE {where}", all_rows=False)
        assert "ERROR at Row:1:Column:47\n" in refused.value.message
    with pytest.raises(ApiError) as refused:
        prepare(org, "SELECT Id FROM Thing__c WHERE Date__c = 2026-02-30", all_rows=False)
    assert refused.value.message.endswith("ERROR at Row:1:Column:40\nline 1:40 no viable alternative at '2026-02-30'")
