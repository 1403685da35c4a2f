"""Laws of imported formulas: what is read has the value that Salesforce gives it, and anything else is left alone."""

from __future__ import annotations

import sqlite3

import pytest

from halocline.emulator.formula_language import sql_of

FIELDS = [
    {"name": "Price__c", "type": "currency"},
    {"name": "Cost__c", "type": "double"},
    {"name": "Count__c", "type": "int"},
    {"name": "Share__c", "type": "percent"},
    {"name": "First__c", "type": "string"},
    {"name": "Last__c", "type": "string"},
    {"name": "Kind__c", "type": "picklist"},
    {"name": "Net__c", "type": "currency", "calculated": True},
]
ROW = "SELECT 8.0 AS Price__c, NULL AS Cost__c, 3 AS Count__c, 'O''Neil' AS First__c, NULL AS Last__c"


def value(formula: str, kind: str = "double", *, empty_is_zero: bool = False) -> object:
    field = {"calculatedFormula": formula, "type": kind, "formulaTreatNullNumberAsZero": empty_is_zero}
    sql = sql_of(field, FIELDS)
    assert sql is not None
    with sqlite3.connect(":memory:") as database:
        [row] = database.execute(f"SELECT {sql} FROM ({ROW})").fetchall()
    database.close()
    return row[0]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Price__c * 2", 16.0),
        ("price__c", 8.0),
        ("(Price__c + 1) / 2 - 0.5", 4.0),
        ("7 / 2", 3.5),
        ("Count__c / 2", 1.5),
        ("Price__c / Count__c * 3", 8.0),
        ("-Price__c + 1", -7.0),
        ("3 - -2", 5.0),
        ("Price__c / 0", None),
        ("Price__c + Cost__c", None),
    ],
)
def test_arithmetic_has_the_vendors_value(formula: str, expected: float | None) -> None:
    """Whole numbers divide into fractions; a blank operand, or a division by zero, makes a blank."""
    assert value(formula) == (None if expected is None else pytest.approx(expected))


def test_blank_numbers_may_count_as_zero() -> None:
    """Where the field says so."""
    assert value("Price__c + Cost__c", empty_is_zero=True) == 8.0


@pytest.mark.parametrize(
    ("formula", "expected"),
    [('First__c & " " & Last__c', "O'Neil "), ('"it\'s"', "it's"), ("First__c", "O'Neil")],
)
def test_joined_texts_have_the_vendors_value(formula: str, expected: str) -> None:
    """A blank text is no text."""
    assert value(formula, "string") == expected


@pytest.mark.parametrize(
    ("formula", "kind"),
    [
        ("IF(Price__c > 1, 1, 2)", "double"),
        ("Price__c ^ 2", "double"),
        ("Account__r.AnnualRevenue * 2", "currency"),
        ("Unknown__c + 1", "double"),
        ("Net__c * 2", "currency"),
        ("Share__c * 2", "double"),
        ("Price__c / 2", "percent"),
        ("Price__c * 2", "string"),
        ("First__c & Kind__c", "string"),
        ("First__c + Last__c", "string"),
        ('First__c & "a\\"b"', "string"),
        ("Price__c Cost__c", "double"),
        ("Price__c +", "double"),
        ("Price__c + * 2", "double"),
        ("(Price__c", "double"),
        ("Price__c)", "double"),
        ("()", "double"),
        ("- -", "double"),
        ("", "double"),
        ("1; DROP TABLE Account", "double"),
    ],
)
def test_what_is_not_surely_the_same_is_left_alone(formula: str, kind: str) -> None:
    """Functions, other objects, percents, formulas over formulas, and what is no formula."""
    assert sql_of({"calculatedFormula": formula, "type": kind}, FIELDS) is None
