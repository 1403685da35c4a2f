"""What a query says, as written: names not yet looked up, every node with its offset `at` for error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`Name` or `Owner.Manager.Name`."""

    parts: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        """The dotted path as written."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call:
    """`COUNT(Id)`, `CALENDAR_YEAR(CreatedDate)`, `FIELDS(ALL)`; `name` in lower case."""

    name: str
    arguments: tuple[Expression, ...]
    at: int

    @property
    def text(self) -> str:
        """The call as Salesforce writes it in messages."""
        return f"{self.name.upper()}({', '.join(a.text for a in self.arguments)})"


Expression: TypeAlias = FieldPath | Call


@dataclass(frozen=True, slots=True)
class Literal:
    """A value. `kind` is string, number, boolean, null, date, datetime, time or relative (`LAST_N_DAYS`, with `count`)."""

    kind: str
    value: str
    at: int
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field = value`; `operator` is one of `= != < <= > >= like`."""

    left: Expression
    operator: str
    value: Literal
    at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """`field IN (values)` and its kin; `operator` is `in`, `not in`, `includes` or `excludes`."""

    left: Expression
    operator: str
    values: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True)
class SemiJoin:
    """`field IN (SELECT ...)`, or NOT IN when `negated`."""

    left: Expression
    query: Query
    negated: bool
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT condition`."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more conditions joined by `and` or `or`."""

    operator: str
    operands: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Membership | SemiJoin | Not | Junction


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a SELECT list that is a field or a call."""

    expression: Expression
    alias: str | None


@dataclass(frozen=True, slots=True)
class TypeOf:
    """`TYPEOF What WHEN Account THEN Phone ... ELSE Name END`: which fields to show depends on what the parent is."""

    relationship: FieldPath
    cases: tuple[tuple[FieldPath, tuple[FieldPath, ...]], ...]
    otherwise: tuple[FieldPath, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Ordering:
    """One entry of ORDER BY."""

    expression: Expression
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query or sub-query; `source` is the dotted name after FROM.

    `aliases` are the further entries of FROM, each a name for a path of relationships; `subtotals` is `rollup` or `cube`;
    `update` is `tracking` or `viewstat`.
    """

    items: tuple[Item | TypeOf | Query, ...]
    source: FieldPath
    at: int
    alias: str | None = None
    aliases: tuple[tuple[str, FieldPath], ...] = ()
    scope: str | None = None
    where: Condition | None = None
    group_by: tuple[Expression, ...] = ()
    subtotals: str | None = None
    having: Condition | None = None
    order_by: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int | None = None
    update: str | None = None
