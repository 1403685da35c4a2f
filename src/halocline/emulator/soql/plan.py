"""What a compiled query will read, how it is named in the answer, and its SQL."""

from __future__ import annotations

from dataclasses import dataclass

from halocline.emulator.objects import SObject
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.scope import Column, Parent, Scope
from halocline.emulator.soql.values import Value


@dataclass(frozen=True, slots=True)
class Output:
    """One value of the answer: its canonical path (or the one name of an aggregate), and what it is."""

    path: tuple[str, ...]
    value: Value


@dataclass(frozen=True, slots=True)
class Compound:
    """An address or location of the answer, made of its components (wire name, column)."""

    path: tuple[str, ...]
    components: tuple[tuple[str, Column], ...]
    column: Column


@dataclass(frozen=True, slots=True)
class Polymorph:
    """A TYPEOF of the answer: by the parent's kind its outputs, whose paths begin with `path` and the kind in parentheses."""

    path: tuple[str, ...]
    parent: Parent
    cases: tuple[tuple[str, tuple[Output | Compound, ...]], ...]
    otherwise: tuple[Output | Compound, ...]


@dataclass(frozen=True, slots=True)
class Children:
    """A sub-query of the answer: its relationship name, its plan, and the SQL of the child's reference to the parent."""

    path: tuple[str, ...]
    plan: Plan
    parent_sql: str


@dataclass(frozen=True, slots=True)
class Sort:
    """One entry of ORDER BY: what to sort by, and collation, direction and place of nulls."""

    key: Fragment
    how: str

    @property
    def sql(self) -> Fragment:
        """The entry as SQL has it."""
        return self.key + self.how


@dataclass(frozen=True, slots=True)
class Grouping:
    """One GROUP BY. ROLLUP and CUBE are several, each with other keys totalled: those values are null in it."""

    values: tuple[Fragment, ...]
    keys: tuple[Fragment, ...]
    having: Fragment | None
    order_by: tuple[Sort, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled query. `where` includes the rule about deleted rows; `compared` are fields worth an index.

    An aggregate has one grouping or more, and its `order_by` is theirs.
    """

    sobject: SObject
    scope: Scope
    outputs: tuple[Output | Compound | Polymorph | Children, ...]
    where: Fragment
    order_by: tuple[Sort, ...]
    groupings: tuple[Grouping, ...]
    limit: int | None
    offset: int | None
    is_count: bool
    compared: tuple[str, ...]

    @property
    def is_aggregate(self) -> bool:
        """Whether the answer is made of groups of records."""
        return bool(self.groupings)

    def tail(self) -> Fragment:
        """WHERE, ORDER BY, LIMIT and OFFSET of a query for records."""
        return " WHERE " + self.where + _order(self.order_by) + self.window()

    def window(self) -> Fragment:
        """LIMIT and OFFSET, if the query has them."""
        if self.limit is None and self.offset is None:
            return Fragment("")
        limit = -1 if self.limit is None else self.limit
        return Fragment(" LIMIT ? OFFSET ?", (limit, self.offset or 0))

    def groups(self) -> Fragment:
        """The SELECT of an aggregate: one row for each group."""
        if len(self.groupings) == 1:
            only = self.groupings[0]
            return self._group(only, joined(", ", only.values)) + _order(only.order_by) + self.window()
        columns = ", ".join(f"v{n}" for n in range(len(self.outputs)))
        parts = joined(" UNION ALL ", (self._group(grouping, _named(grouping)) for grouping in self.groupings))
        order = tuple(Sort(Fragment(f"s{n}"), sort.how) for n, sort in enumerate(self.groupings[0].order_by))
        return f"SELECT {columns} FROM (" + parts + ")" + _order(order) + self.window()

    def _group(self, grouping: Grouping, listed: Fragment) -> Fragment:
        sql = "SELECT " + listed + f" FROM {self.scope.from_sql()} WHERE " + self.where
        if grouping.keys:
            sql += " GROUP BY " + joined(", ", grouping.keys)
        return sql if grouping.having is None else sql + " HAVING " + grouping.having


def _named(grouping: Grouping) -> Fragment:
    values = [value + f" AS v{n}" for n, value in enumerate(grouping.values)]
    return joined(", ", [*values, *(sort.key + f" AS s{n}" for n, sort in enumerate(grouping.order_by))])


def _order(order_by: tuple[Sort, ...]) -> Fragment:
    return " ORDER BY " + joined(", ", (sort.sql for sort in order_by)) if order_by else Fragment("")
