"""Laws of what a copy of tables asks of DynamoDB: the same words as of any source, in those of its options."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from halocline.connectors.aws.dynamodb.asked import asked
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig, NotFound
from halocline.schema import Column, Kind, Schema

THERE = Schema((Column("id", Kind.STRING), Column("name", Kind.STRING), Column("at", Kind.INTEGER)), ("id",))


def test_a_builder_needs_no_columns() -> None:
    """Nothing is inferred for it; a list of attributes is a projection."""
    wanted = Wanted(**asked({"table": "t", "items": True, "projection": ["id", "name"], "segments": 3, "values": {":a": 1}}))
    assert (wanted.infer, wanted.projection, wanted.segments, wanted.values) == (False, "id, name", 3, {":a": 1})


def test_columns_are_those_of_the_table_that_is_there_or_declared() -> None:
    """Chosen by name among them; a database spells names in its own case."""
    wanted = Wanted(**asked({"table": "t", "target": THERE, "columns": ["id", "at"], "exclude": ["at"]}))
    assert wanted.columns is not None
    assert (wanted.columns.names, wanted.columns.key, wanted.any_case) == (("id",), ("id",), True)
    declared = Wanted(**asked({"table": "t", "schema": THERE, "target": Schema(())}))
    assert (declared.columns, declared.any_case) == (THERE, False)
    assert Wanted(**asked({"table": "t"})).columns is None
    assert Wanted(**asked({"table": "t", "columns": THERE})).columns == THERE


def test_a_name_that_no_column_has_is_refused() -> None:
    """To load and to leave out alike: of a misspelt one to leave out, what is meant would be loaded."""
    for given in ({"columns": ["id", "nme"]}, {"exclude": ["nme"]}, {"columns": ["id"], "exclude": ["NMe"]}):
        for described in ({"schema": THERE}, {"target": THERE}):
            with pytest.raises(NotFound, match=r"there is no column 'nme' among .* Did you mean name\?|'NMe'"):
                asked({"table": "t", **given, **described})


def test_columns_that_nothing_describes_are_refused() -> None:
    """Their names alone say no type."""
    for given in ({"columns": ["id"]}, {"exclude": ["id"]}):
        with pytest.raises(FixConfig, match="of which type"):
            asked({"table": "t", **given})


@pytest.mark.parametrize(
    "given",
    [
        {"limit": "5"},
        {"limit": 1.5},
        {"segments": "2"},
        {"segments": True},
        {"read_capacity": "0.5"},
        {"read_capacity": float("nan")},
        {"depth": "3"},
        {"depth": -1},
        {"nested": 1},
        {"streams": "no"},
        {"consistent": "false"},
        {"index": 1},
        {"filter": ["a = b"]},
        {"projection": 5},
        {"exclude": 5},
        {"columns": 5},
        {"names": ["a"]},
        {"names": {"#a": 1}},
        {"values": [1]},
        {"paths": {"a": "b"}},
        {"from_export": True},
    ],
    ids=str,
)
def test_a_value_that_an_option_cannot_have_is_refused(given: dict[str, Any]) -> None:
    """As bad use that names the option; a text is neither a number nor true."""
    (name,) = given
    with pytest.raises(FixConfig, match=rf"{name}=") as refused:
        Wanted(**asked({"table": "t", **given}))
    assert refused.value.facts["option"] == name


def test_a_filters_numbers_may_be_floats() -> None:
    """YAML has no others: each stands for what was written, wherever it is; what has no form there is told as a setting."""
    held = {":a": 9.5, ":b": [0.1, {"c": 1e20}], ":d": Decimal("1.50"), ":e": {1.5, 2.5}, ":f": True}
    assert Wanted("t", values=held).bound == {
        ":a": {"N": "9.5"},
        ":b": {"L": [{"N": "0.1"}, {"M": {"c": {"N": "1E+20"}}}]},
        ":d": {"N": "1.50"},
        ":e": {"NS": ["1.5", "2.5"]},
        ":f": {"BOOL": True},
    }
    for odd in (1e300, float("inf"), object()):
        with pytest.raises(FixConfig, match="values: "):
            Wanted("t", values={":a": odd})
