"""`GET /query?q=...&columns=true`: what a query's columns are, instead of its records.

No vendor page describes it. Source: answers recorded in tests of Salesforce's own command line, and what its plugin-data reads
of them (`retrieveColumns`). The entries of a parent relationship, a compound field and a TYPEOF are unverified.
"""

from __future__ import annotations

from collections.abc import Iterable

from halocline.emulator.soql.plan import Children, Compound, Output, Plan, Polymorph
from halocline.emulator.soql.values import Value
from halocline.emulator.tables import INTEGER_TYPES, REAL_TYPES

NUMBER_TYPES = (INTEGER_TYPES | REAL_TYPES) - {"boolean"}
# By the type of a field; every other type is text.
APEX_TYPES = {
    "id": "Id",
    "reference": "Id",
    "boolean": "Boolean",
    "int": "Integer",
    "long": "Long",
    "double": "Decimal",
    "currency": "Decimal",
    "percent": "Decimal",
    "date": "Date",
    "datetime": "Datetime",
    "time": "Time",
    "base64": "Blob",
    "address": "Address",
    "location": "Location",
}

Column = dict[str, object]


def column_metadata(plan: Plan) -> Column:
    """The answer for a plan; `COUNT()` has no columns."""
    return {
        "columnMetadata": _tree(plan.outputs),
        "entityName": plan.sobject.name,
        "groupBy": any(grouping.keys for grouping in plan.groupings),
        "idSelected": any(output.path == ("Id",) for output in plan.outputs),
        "keyPrefix": plan.sobject.key_prefix,
    }


def _tree(outputs: Iterable[Output | Compound | Polymorph | Children], *, depth: int = 0) -> list[Column]:
    """The columns in SELECT order; those of one parent are together where its first is."""
    columns: dict[str, Column] = {}
    below: dict[str, list[Output | Compound | Polymorph | Children]] = {}
    for output in outputs:
        name = output.path[depth]
        if len(output.path) == depth + 1:
            columns[name] = _column(output, name)
        else:
            below.setdefault(name, []).append(output)
            columns.setdefault(name, _entry(name))
    for name, inner in below.items():
        columns[name]["joinColumns"] = _tree(inner, depth=depth + 1)
    return list(columns.values())


def _column(output: Output | Compound | Polymorph | Children, name: str) -> Column:
    if isinstance(output, Children):
        return _entry(name, aggregate=True, joinColumns=_tree(output.plan.outputs))
    if isinstance(output, Polymorph):
        return _entry(name, joinColumns=_polymorph_columns(output))
    if isinstance(output, Compound):
        return _entry(name, apexType=APEX_TYPES[output.column.field.type], custom=output.column.field.custom)
    return _value_column(output.value, name)


def _polymorph_columns(output: Polymorph) -> list[Column]:
    """Every field that any kind shows, once."""
    found = {str(c["columnName"]): c for _, outputs in output.cases for c in _tree(outputs, depth=len(output.path) + 1)}
    found |= {str(c["columnName"]): c for c in _tree(output.otherwise, depth=len(output.path))}
    return list(found.values())


def _value_column(value: Value, name: str) -> Column:
    field = None if value.aggregate else value.field
    kind = value.type
    flags = {"booleanType": kind == "boolean", "numberType": kind in NUMBER_TYPES}
    if field is None:
        return _entry(name, aggregate=True, displayName=_lowered(value.name), **flags)
    return _entry(
        name,
        apexType=APEX_TYPES.get(kind, "String"),
        custom=field.custom,
        insertable=field.createable,
        updatable=field.updateable,
        textType=kind not in APEX_TYPES,
        **flags,
    )


def _lowered(call: str) -> str:
    """`AVG(Amount)` -> `avg(Amount)`."""
    function, bracket, rest = call.partition("(")
    return function.lower() + bracket + rest


def _entry(name: str, **told: object) -> Column:
    entry: Column = {
        "aggregate": False,
        "apexType": None,
        "booleanType": False,
        "columnName": name,
        "custom": False,
        "displayName": name,
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": [],
        "numberType": False,
        "textType": False,
        "updatable": False,
    }
    return entry | told
