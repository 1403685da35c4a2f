"""Fields that are computed when they are read: formulas over the row and its parents, and roll-up summaries of its children.

A formula is an SQL expression in which names are fields of the row (`Amount__c * 1.2`) or of a parent (`Account.Name`,
`Parent__r.Owner.Email`). What it computes moves without moving any stamp of the record.
Source: Salesforce Help, "Calculate Field Values with Formulas" and "Roll-Up Summary Field".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from halocline.emulator.objects import Catalog, Field, RollUp, SObject
from halocline.emulator.tables import ROW, affinity, has_column, quoted

_DEPTH = 10  # formulas inside formulas; Salesforce counts characters of the compiled formula instead
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]+"|(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?![\w.]|\s*\()""")


def bound(catalog: Catalog) -> Catalog:
    """The catalog with every computed field knowing the SQL that reads it; the same one if there are none.

    Raises: ValueError for a formula that refers to itself, a relationship that does not exist, or a roll-up of nothing.
    """
    if not any(_is_computed(f) for sobject in catalog for f in sobject.fields.values()):
        return catalog
    return Catalog([_bound_object(catalog, sobject) for sobject in catalog])


def expression(catalog: Catalog, sobject: SObject, *, text: str, row: str) -> str:
    """The SQL of an expression over the row called `row`, its names looked up.
    Raises: ValueError as `bound` does.
    """
    return _Reader(catalog).text(sobject, text, row=row, depth=0)


def roll_up_links(catalog: Catalog) -> Iterator[tuple[SObject, Field]]:
    """The child objects and their references that roll-ups look through, which want an index."""
    for sobject in catalog:
        for computed in sobject.fields.values():
            child = catalog.get(computed.roll_up.child) if computed.roll_up else None
            link = child.field(computed.roll_up.relationship) if child and computed.roll_up else None
            if child and link:
                yield child, link


def _is_computed(computed: Field) -> bool:
    return not computed.is_compound and not has_column(computed)


def _bound_object(catalog: Catalog, sobject: SObject) -> SObject:
    if not any(map(_is_computed, sobject.fields.values())):
        return sobject
    fields = {key: _bound_field(catalog, sobject, f) if _is_computed(f) else f for key, f in sobject.fields.items()}
    return replace(sobject, fields=fields)


def _bound_field(catalog: Catalog, sobject: SObject, computed: Field) -> Field:
    try:
        sql = _Reader(catalog).field(sobject, computed, row=ROW, depth=0)
    except ValueError as reason:
        raise ValueError(f"{sobject.name}.{computed.name}: {reason}") from reason
    # A count in a field of type double is 2.0 in JSON, as a stored double is.
    return replace(computed, sql=f"CAST({sql} AS REAL)" if affinity(computed) == "REAL" else sql)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Writes fields as SQL; each row that it reaches gets an alias of its own."""

    catalog: Catalog
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def field(self, sobject: SObject, wanted: Field, *, row: str, depth: int) -> str:
        if wanted.is_compound:
            raise ValueError(f"{wanted.name} is made of other fields: name one of them")
        if has_column(wanted):
            return f"{row}.{quoted(wanted.name)}"
        if depth > _DEPTH:
            raise ValueError("the formula refers to itself")
        if wanted.roll_up is not None:
            return self._roll_up(wanted.roll_up, row, depth=depth + 1)
        return self.text(sobject, wanted.formula or "NULL", row=row, depth=depth + 1)

    def text(self, sobject: SObject, text: str, *, row: str, depth: int) -> str:
        return f"({_TOKEN.sub(lambda match: self._token(sobject, match.group(), row, depth), text)})"

    def _token(self, sobject: SObject, token: str, row: str, depth: int) -> str:
        if token.startswith("'"):
            return token
        *parents, name = token.strip('"').split(".")
        if parents:
            return self._of_parent(sobject, [*parents, name], row, depth)
        named = sobject.field(name)
        # Anything else is a word of SQL: CASE, AND, NULL.
        return token if named is None else self.field(sobject, named, row=row, depth=depth)

    def _of_parent(self, sobject: SObject, path: list[str], row: str, depth: int) -> str:
        """A value of the record that a lookup points at: a sub-query for each object that it may be of."""
        name, *rest = path
        if not rest:
            return self.field(sobject, self._known(sobject, name), row=row, depth=depth)
        reference = sobject.relationship(name)
        targets = [t for t in (self.catalog.get(one) for one in reference.reference_to) if t] if reference else []
        if reference is None or not targets:
            raise ValueError(f"{sobject.name} has no relationship {name!r}")
        found = [self._through(target, rest, f"{row}.{quoted(reference.name)}", depth) for target in targets]
        return found[0] if len(found) == 1 else f"COALESCE({', '.join(found)})"

    def _through(self, target: SObject, rest: list[str], link: str, depth: int) -> str:
        alias = f"f{next(self.numbers)}_"
        value = self._of_parent(target, rest, alias, depth)
        return f"(SELECT {value} FROM {quoted(target.name)} AS {alias} WHERE {alias}.Id = {link})"

    def _roll_up(self, roll_up: RollUp, row: str, *, depth: int) -> str:
        child = self.catalog.get(roll_up.child)
        if child is None:
            raise ValueError(f"there is no {roll_up.child} to roll up")
        alias = f"f{next(self.numbers)}_"
        link = self.field(child, self._known(child, roll_up.relationship), row=alias, depth=depth)
        conditions = [f"{link} = {row}.Id", *([f"{alias}.IsDeleted = 0"] if child.field("IsDeleted") else [])]
        if roll_up.where:
            conditions.append(self.text(child, roll_up.where, row=alias, depth=depth))
        summed = self._summed(child, roll_up, alias, depth)
        return f"(SELECT {summed} FROM {quoted(child.name)} AS {alias} WHERE {' AND '.join(conditions)})"

    def _summed(self, child: SObject, roll_up: RollUp, alias: str, depth: int) -> str:
        if roll_up.field is None:
            return "COUNT(*)"
        value = self.field(child, self._known(child, roll_up.field), row=alias, depth=depth)
        # No children make a sum of 0, and no smallest or largest value.
        return f"COALESCE(SUM({value}), 0)" if roll_up.function == "SUM" else f"{roll_up.function}({value})"

    def _known(self, sobject: SObject, name: str) -> Field:
        found = sobject.field(name)
        if found is None:
            raise ValueError(f"{sobject.name} has no field {name!r}")
        return found
