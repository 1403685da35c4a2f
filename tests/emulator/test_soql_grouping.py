"""Laws of GROUP BY, ROLLUP and CUBE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.query_org import Org
from tests.examples import examples

LEADS = (("Web", "Hot"), ("Web", "Warm"), ("Web", None), ("Web", None), ("Phone", "Hot"), (None, None))


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    """Six things with a source (Text__c) and a rating (Exact__c)."""
    made = Org()
    for n, (source, rating) in enumerate(LEADS):
        made.add("Thing__c", Text__c=source, Exact__c=rating, Int__c=n, Flag__c=n > 2, Moment__c=f"202{n}-03-04T05:06:07.000Z")
    yield made
    made.store.close()


def values(org: Org, soql: str) -> list[tuple[Any, ...]]:
    """The rows of an aggregate without their attributes."""
    return [tuple(v for k, v in row.items() if k != "attributes") for row in org.rows(soql)]


def test_rollup_adds_subtotals_from_right_to_left(org: Org) -> None:
    """Details, then a subtotal behind each group, then one grand total; GROUPING tells a total from a null."""
    listed = "Text__c, Exact__c, GROUPING(Text__c) s, GROUPING(Exact__c) r, COUNT(Id) n"
    assert values(org, f"SELECT {listed} FROM Thing__c GROUP BY ROLLUP(Text__c, Exact__c)") == [
        (None, None, 0, 0, 1),
        (None, None, 0, 1, 1),
        ("Phone", "Hot", 0, 0, 1),
        ("Phone", None, 0, 1, 1),
        ("Web", None, 0, 0, 2),
        ("Web", "Hot", 0, 0, 1),
        ("Web", "Warm", 0, 0, 1),
        ("Web", None, 0, 1, 4),
        (None, None, 1, 1, 6),
    ]


def test_cube_adds_subtotals_for_every_combination(org: Org) -> None:
    """A cube of two keys has the details, both kinds of subtotals, and the grand total."""
    soql = "SELECT Text__c, Exact__c, COUNT(Id) FROM Thing__c GROUP BY CUBE(Text__c, Exact__c)"
    plain = values(org, "SELECT Text__c, Exact__c, COUNT(Id) FROM Thing__c GROUP BY Text__c, Exact__c")
    by_source = [(k, None, n) for k, n in values(org, "SELECT Text__c, COUNT(Id) FROM Thing__c GROUP BY Text__c")]
    by_rating = [(None, k, n) for k, n in values(org, "SELECT Exact__c, COUNT(Id) FROM Thing__c GROUP BY Exact__c")]
    found = values(org, soql)
    assert sorted(map(repr, found)) == sorted(map(repr, [*plain, *by_source, *by_rating, (None, None, 6)]))
    assert org.query(soql).total_size() == len(found)


def test_subtotals_obey_where_having_order_and_limit(org: Org) -> None:
    """WHERE counts before, HAVING after, ORDER BY and LIMIT over all levels together."""
    soql = (
        "SELECT Text__c, COUNT(Id) FROM Thing__c WHERE Int__c < 5 GROUP BY ROLLUP(Text__c) "
        "HAVING COUNT(Id) > 1 OR GROUPING(Text__c) = 1 ORDER BY COUNT(Id) DESC, Text__c NULLS LAST LIMIT 2"
    )
    assert values(org, soql) == [(None, 5), ("Web", 4)]
    assert values(org, soql.replace("LIMIT 2", "LIMIT 1 OFFSET 1")) == [("Web", 4)]
    ordered = "SELECT Text__c FROM Thing__c GROUP BY ROLLUP(Text__c) ORDER BY GROUPING(Text__c) DESC, Text__c DESC NULLS LAST"
    assert values(org, ordered) == [(None,), ("Web",), ("Phone",), (None,)]


def test_date_functions_and_booleans_roll_up(org: Org) -> None:
    """A key may be a date function; a boolean key is null where it is totalled."""
    soql = (
        "SELECT CALENDAR_YEAR(Moment__c) y, Flag__c, SUM(Int__c) FROM Thing__c GROUP BY ROLLUP(CALENDAR_YEAR(Moment__c), Flag__c)"
    )
    found = values(org, soql)
    assert found[:2] == [(2020, False, 0), (2020, None, 0)]
    assert found[-1] == (None, None, 15)


def test_several_date_functions_group_filter_and_order(org: Org) -> None:
    """Date functions stand in SELECT, WHERE, GROUP BY, HAVING and ORDER BY, with convertTimezone too."""
    year, day = "CALENDAR_YEAR(convertTimezone(Moment__c))", "DAY_ONLY(Moment__c)"
    soql = f"SELECT {year} y, {day} d FROM Thing__c WHERE HOUR_IN_DAY(Moment__c) = 5 GROUP BY {year}, {day} HAVING {year} > 2023"
    assert values(org, f"{soql} ORDER BY {year} DESC") == [(2025, "2025-03-04"), (2024, "2024-03-04")]
    assert len(org.rows("SELECT Id FROM Thing__c WHERE DAY_ONLY(convertTimezone(Moment__c)) < TODAY")) == 6


def test_a_key_may_be_shown_in_another_way(org: Org) -> None:
    """A function of a key is grouped when the key is, and null where the key is totalled."""
    soql = "SELECT CALENDAR_YEAR(Moment__c) y, COUNT(Id) FROM Thing__c WHERE Int__c < 2 GROUP BY ROLLUP({})"
    assert values(org, soql.format("DAY_ONLY(Moment__c), CALENDAR_YEAR(Moment__c)"))[0] == (2020, 1)
    labels = "SELECT toLabel(Industry) l, COUNT(Id) FROM Account GROUP BY ROLLUP(Industry)"
    for name, industry in (("a", "Zinc"), ("b", "Apparel")):
        org.add("Account", Name=name, Industry=industry)
    assert values(org, labels) == [("Zinc!", 1), ("Apparel!", 1), (None, 2)]
    assert values(org, "SELECT MIN(Industry), MAX(Industry) FROM Account") == [("Zinc", "Apparel")]


def test_having_may_look_at_keys_alone(org: Org) -> None:
    """HAVING filters groups by their keys, without an aggregate."""
    assert values(org, "SELECT Text__c FROM Thing__c GROUP BY Text__c HAVING Text__c LIKE 'w%'") == [("Web",)]
    assert values(
        org, "SELECT t.Text__c x FROM Thing__c t GROUP BY Thing__c.Text__c HAVING Text__c != null ORDER BY t.Text__c"
    ) == [
        ("Phone",),
        ("Web",),
    ]


def test_counts_of_fields_leave_nulls_out(org: Org) -> None:
    """COUNT(field) counts values, COUNT_DISTINCT different ones, case aside."""
    org.add("Thing__c", Text__c="web", Int__c=9, Moment__c="2030-01-01T00:00:00.000Z")
    listed = "COUNT(Id), COUNT(Text__c), COUNT_DISTINCT(Text__c), MAX(Text__c), MIN(Moment__c)"
    assert values(org, f"SELECT {listed} FROM Thing__c") == [(7, 6, 2, "Web", "2020-03-04T05:06:07.000+0000")]


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT GROUPING(Text__c) FROM Thing__c GROUP BY Text__c", "MALFORMED_QUERY", "GROUPING is only supported with"),
        ("SELECT GROUPING(Name) FROM Thing__c GROUP BY ROLLUP(Text__c)", "MALFORMED_QUERY", "grouped or aggregated: Name"),
        ("SELECT Name, COUNT(Name) FROM Thing__c GROUP BY Name", "MALFORMED_QUERY", "should not be aggregated: Name"),
        ("SELECT COUNT(Flag__c) FROM Thing__c", "MALFORMED_QUERY", "field Flag__c does not support aggregate operator COUNT"),
        ("SELECT FIELDS(ALL), COUNT(Id) FROM Thing__c GROUP BY Name LIMIT 9", "MALFORMED_QUERY", "grouped or aggregated: FIELDS"),
        ("SELECT GROUPING() FROM Thing__c GROUP BY ROLLUP(Text__c)", "MALFORMED_QUERY", "Incorrect number of parameters"),
        ("SELECT Name FROM Thing__c GROUP BY CUBE(Text__c)", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Text__c FROM Thing__c GROUP BY ROLLUP(Text__c), Name", "MALFORMED_QUERY", "unexpected token: ','"),
        ("SELECT Text__c FROM Thing__c GROUP BY ROLLUP Text__c", "MALFORMED_QUERY", "unexpected token: 'Text__c'"),
        ("SELECT Text__c FROM Thing__c GROUP BY Text__c HAVING Name = 'x'", "MALFORMED_QUERY", "grouped or aggregated: Name"),
        ("SELECT Text__c, COUNT(Id) n FROM Thing__c GROUP BY Text__c ORDER BY n", "INVALID_FIELD", "No such column 'n'"),
        ("SELECT Text__c FROM Thing__c GROUP BY Text__c ORDER BY Name", "MALFORMED_QUERY", "Ordered field must be grouped"),
        ("SELECT COUNT(), Name FROM Thing__c", "MALFORMED_QUERY", "COUNT() must be the only element"),
        ("SELECT COUNT() FROM Thing__c GROUP BY Name", "MALFORMED_QUERY", "COUNT() must be the only element"),
        ("SELECT COUNT() FROM Thing__c ORDER BY Name", "MALFORMED_QUERY", "COUNT() and ORDER BY may not be used together"),
        ("SELECT Name, (SELECT Id FROM x) FROM Account GROUP BY Name", "MALFORMED_QUERY", "Grouped queries cannot have child"),
        ("SELECT convertTimezone(Moment__c) FROM Thing__c", "MALFORMED_QUERY", "only supported inside date functions"),
        ("SELECT CALENDAR_YEAR(convertTimezone(Date__c)) y FROM Thing__c", "MALFORMED_QUERY", "Invalid parameter type"),
        ("SELECT DAY_ONLY(Date__c) FROM Thing__c GROUP BY DAY_ONLY(Date__c)", "MALFORMED_QUERY", "Invalid parameter type"),
        ("SELECT convertCurrency(AnnualRevenue) FROM Account", "MALFORMED_QUERY", "organizations with multiple currencies"),
        ("SELECT Name FROM Account ORDER BY toLabel(Industry)", "MALFORMED_QUERY", "TOLABEL cannot be used in ORDER BY"),
        (
            "SELECT OwnerId FROM Account GROUP BY OwnerId HAVING OwnerId IN (SELECT OwnerId FROM Contact)",
            "MALFORMED_QUERY",
            "Semi-joins are only supported in WHERE clauses",
        ),
    ],
)  # fmt: skip
def test_what_groups_cannot_be_is_refused(org: Org, soql: str, code: str, words: str) -> None:
    """A query that mixes groups with what is not grouped is refused at its place."""
    error = org.refusal(soql)
    assert error.code == code
    assert words in error.message


keys = st.sampled_from([None, "a", "b"])


@settings(max_examples=examples(60))
@given(rows=st.lists(st.tuples(keys, keys, st.integers(0, 9)), max_size=8), cube=st.booleans())
def test_subtotals_are_the_sums_of_their_groups(rows: list[tuple[str | None, str | None, int]], cube: bool) -> None:
    """Each row's sum is that of the records that agree with it on every key that is not totalled."""
    org = Org()
    try:
        for first, second, number in rows:
            org.add("Thing__c", Text__c=first, Exact__c=second, Int__c=number)
        kind = "CUBE" if cube else "ROLLUP"
        listed = "Text__c, Exact__c, GROUPING(Text__c), GROUPING(Exact__c), SUM(Int__c)"
        found = values(org, f"SELECT {listed} FROM Thing__c GROUP BY {kind}(Text__c, Exact__c)")
        for first, second, total_first, total_second, total in found:
            agreeing = [r for r in rows if (total_first or r[0] == first) and (total_second or r[1] == second)]
            assert sum(r[2] for r in agreeing) == total
        levels = {(f, s) for _, _, f, s, _ in found}
        assert levels == ({(0, 0), (0, 1), (1, 1)} | ({(1, 0)} if cube else set()) if rows else set())
        assert len(found) == len({row[:4] for row in found})
    finally:
        org.store.close()
