"""A parsed query and the org's shape -> a plan that says what to read and how it is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.soql import joins, restrictions
from halocline.emulator.soql.ast import Call, Expression, FieldPath, Item, Ordering, Query, SemiJoin, TypeOf
from halocline.emulator.soql.conditions import Conditions
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.grouping import Groups, groupings
from halocline.emulator.soql.plan import Children, Compound, Grouping, Output, Plan, Polymorph, Sort
from halocline.emulator.soql.refusal import refusal, unexpected
from halocline.emulator.soql.scope import Column, Parent, Scope, no_such_children, no_such_object
from halocline.emulator.soql.values import (
    SHOWING_FUNCTIONS,
    Value,
    allows,
    evaluated,
    is_aggregate,
    listed_position,
    makes_groups,
)

FIELDS_LIMIT = 200  # SOQL and SOSL Reference, "FIELDS()": unbounded sets of fields need LIMIT 200 or less


@dataclass(frozen=True, slots=True)
class Request:
    """What stays the same in all parts of one query: the org's shape, the text, the time, and how it was asked."""

    catalog: Catalog
    soql: str
    now: datetime
    all_rows: bool
    bulk: bool = False
    user_id: str | None = None
    version: int = restrictions.NEWEST


def compiled(request: Request, query: Query) -> Plan:
    """The plan of a whole query.

    Raises: ApiError INVALID_TYPE, INVALID_FIELD, INVALIDENTITY, API_ERROR or MALFORMED_QUERY, with the place where there is one.
    """
    if len(query.source.parts) != 1:
        raise unexpected(request.soql, query.source.at, query.source.text)
    name = query.source.parts[0]
    sobject = request.catalog.get(name)
    if sobject is None or not sobject.queryable:
        raise no_such_object(request.soql, query.source.at, name)
    if request.bulk and not sobject.bulk_queryable:
        raise ApiError(400, "INVALIDENTITY", f"Entity '{sobject.name}' is not supported by the Bulk API.")
    plan = _Compiler(request, sobject, query, prefix="t").plan()
    restrictions.check_whose(query, sobject)
    restrictions.check_relationships(request.soql, plan)
    return plan


class _Compiler:
    """Compiles one query or sub-query.

    `prefix` keeps the SQL aliases of nested queries apart, `level` counts parent-to-child levels from 1, and a sub-select of a
    semi-join is `inner`.
    """

    def __init__(
        self, request: Request, sobject: SObject, query: Query, *, prefix: str, level: int = 1, inner: bool = False
    ) -> None:
        self._request = request
        self._soql = request.soql
        self._query = query
        self._prefix = prefix
        self._level = level
        self._inner = inner
        self._nested = 0
        self._scope = Scope(request.catalog, sobject, soql=request.soql, alias=query.alias, prefix=prefix)
        for alias, path in query.aliases:
            self._scope.name(alias, path)

    def plan(self) -> Plan:
        query, is_count = self._query, _is_count(self._query)
        grouped = not is_count and (bool(query.group_by) or _uses_aggregates(query))
        if self._request.bulk:
            restrictions.check_bulk(query, self._scope)
        restrictions.check_clauses(self._soql, query, sobject=self._scope.sobject, grouped=grouped, is_count=is_count)
        # Of several slips real orgs name an ordered field that is not grouped before a selected one.
        groups = tuple(map(self._grouping, groupings(self._scope, query))) if grouped else ()
        outputs = () if is_count else self._aggregate_outputs() if grouped else self._outputs()
        plan = Plan(
            sobject=self._scope.sobject,
            scope=self._scope,
            outputs=outputs,
            where=self._where(),
            order_by=() if grouped else tuple(self._sort(o, self._evaluated) for o in query.order_by),
            groupings=groups,
            limit=query.limit,
            offset=query.offset,
            is_count=is_count,
            compared=tuple(sorted(_compared(query.where))),
        )
        restrictions.check_joins(query, self._scope)
        return plan

    def _evaluated(self, expression: Expression) -> Value:
        return evaluated(self._scope, expression)

    # -- SELECT

    def _outputs(self) -> tuple[Output | Compound | Polymorph | Children, ...]:
        outputs = [output for item in self._query.items for output in self._expanded(item)]
        if not outputs:
            message = "'FIELDS(...)' expansion function must result in at least one field being selected."
            raise ApiError(400, "MALFORMED_QUERY", message)
        names = [".".join(o.path).lower() for o in outputs]
        for output, name in zip(outputs, names, strict=True):
            # A TYPEOF may not share its relationship with another entry either.
            shared = isinstance(output, Polymorph) and any(other.startswith(f"{name}.") for other in names)
            if names.count(name) > 1 or shared:
                raise ApiError(400, "INVALID_FIELD", f"duplicate field selected: {'.'.join(output.path)}")
        return tuple(outputs)

    def _expanded(self, item: Item | TypeOf | Query) -> Sequence[Output | Compound | Polymorph | Children]:
        if isinstance(item, Query):
            return [self._children(item)]
        if isinstance(item, TypeOf):
            return [self._polymorph(item)]
        if isinstance(item.expression, Call) and item.expression.name == "fields":
            paths = (FieldPath((f.name,), item.expression.at) for f in self._group_of_fields(item.expression))
            return [self._field(path, self._scope.column) for path in paths]
        return [self._output(item)]

    def _output(self, item: Item) -> Output | Compound:
        expression = item.expression
        if isinstance(expression, FieldPath):
            if item.alias:
                raise refusal(self._soql, expression.at, "only aggregate expressions use field aliasing")
            return self._field(expression, self._scope.column)
        value = evaluated(self._scope, expression)
        if value.column is None:
            raise refusal(self._soql, expression.at, f"Invalid parameter for function '{expression.name.upper()}'")
        return Output((item.alias,) if item.alias else value.column.path, value)

    def _field(self, path: FieldPath, look_up: Callable[[FieldPath], Column]) -> Output | Compound:
        column = look_up(path)
        if not column.field.is_compound:
            return Output(column.path, Value(Fragment(column.sql), column.field.type, ".".join(column.path), column))
        wanted = column.field.name.lower()
        parts = (f for f in column.sobject.fields.values() if (f.compound or "").lower() == wanted)
        found = [(_component_key(column.field, f), look_up(FieldPath((*path.parts[:-1], f.name), path.at))) for f in parts]
        return Compound(column.path, tuple(sorted(found, key=lambda pair: pair[0])), column)

    def _polymorph(self, item: TypeOf) -> Polymorph:
        """Source: SOQL and SOSL Reference, "TYPEOF"."""
        if self._inner or self._request.version < restrictions.TYPEOF_SINCE:
            raise unexpected(self._soql, item.at, "TYPEOF")
        parent = self._scope.polymorphic(item.relationship)
        cases = tuple((self._kind(name, parent), paths) for name, paths in item.cases)
        return Polymorph(
            parent.path,
            parent,
            tuple((kind, tuple(self._typed(path, parent, kind) for path in paths)) for kind, paths in cases),
            tuple(self._field(path, lambda p: self._scope.name_column(p, parent)) for path in item.otherwise),
        )

    def _kind(self, name: FieldPath, parent: Parent) -> str:
        known = self._request.catalog.get(name.text)
        if known is None:
            raise no_such_object(self._soql, name.at, name.text)
        if known.name not in (sobject.name for sobject, _ in parent.targets):  # the words are unverified
            raise refusal(self._soql, name.at, f"{known.name} is not a type of the relationship {'.'.join(parent.path)}")
        return known.name

    def _typed(self, path: FieldPath, parent: Parent, kind: str) -> Output | Compound:
        return self._field(path, lambda p: self._scope.typed_column(p, parent, kind=kind))

    def _group_of_fields(self, call: Call) -> list[Field]:
        group = call.arguments[0].text.lower() if len(call.arguments) == 1 else ""
        if self._request.version < restrictions.FIELDS_SINCE:
            raise unexpected(self._soql, call.at, "FIELDS")
        if group not in ("all", "standard", "custom"):
            raise unexpected(self._soql, call.at, call.text)
        if group != "standard" and self._request.bulk:
            message = "The SOQL FIELDS function is not supported with an unbounded set of fields in this API"
            raise ApiError(400, "MALFORMED_QUERY", message)
        bounded = self._query.limit is not None and self._query.limit <= FIELDS_LIMIT
        if group != "standard" and not bounded and not restrictions.names_ids(self._query.where, most=FIELDS_LIMIT):
            message = f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT}"
            raise ApiError(400, "MALFORMED_QUERY", message)
        wanted = (f for f in self._scope.sobject.fields.values() if group == "all" or f.custom == (group == "custom"))
        return [f for f in wanted if not (self._request.bulk and (f.is_compound or f.type == "base64"))]

    def _children(self, query: Query) -> Children:
        restrictions.check_level(self._soql, query, level=self._level + 1, version=self._request.version)
        *before, name = query.source.parts
        if self._inner or [part.lower() for part in before] not in ([], [self._scope.sobject.name.lower()], [self._alias]):
            raise no_such_children(self._soql, query.source.at, query.source.text)
        links = self._request.catalog.children(self._scope.sobject.name)
        link = next((c for c in links if c.relationship_name and c.relationship_name.lower() == name.lower()), None)
        child = self._request.catalog.get(link.child_sobject) if link else None
        if link is None or child is None:
            raise no_such_children(self._soql, query.source.at, name)
        if query.offset is not None and self._query.limit != 1:
            # Source: SOQL and SOSL Reference, "OFFSET": in a sub-query only if the parent query has LIMIT 1. Words unverified.
            raise refusal(self._soql, query.at, "OFFSET in a sub-query is only allowed if the parent query has LIMIT 1")
        plan = self._nested_compiler(query, child, level=self._level + 1).plan()
        if plan.is_count or plan.is_aggregate:
            raise refusal(self._soql, query.at, "only root queries support aggregate expressions")
        reference = plan.scope.column(FieldPath((link.field,), query.at))
        return Children((link.relationship_name or name,), replace(plan, compared=(*plan.compared, link.field)), reference.sql)

    @property
    def _alias(self) -> str | None:
        return self._query.alias.lower() if self._query.alias else None

    # -- aggregates

    def _aggregate_outputs(self) -> tuple[Output, ...]:
        groups = Groups(self._scope, self._query)
        outputs: list[Output] = []
        unnamed = 0
        for item in self._query.items:
            if not isinstance(item, Item):
                raise refusal(self._soql, item.at, "Grouped queries cannot have child relationship queries")
            value = groups.value(item.expression)
            name = item.alias or (value.column.path[-1] if value.column and not value.aggregate else None)
            if name is None:
                name, unnamed = f"expr{unnamed}", unnamed + 1
            if name.lower() in (o.path[0].lower() for o in outputs):
                raise refusal(self._soql, item.expression.at, f"duplicate alias: {name}")
            outputs.append(Output((name,), value))
        return tuple(outputs)

    def _grouping(self, groups: Groups) -> Grouping:
        query = self._query
        order = tuple(self._sort(o, groups.ordered) for o in query.order_by or self._usual_order())
        values = tuple(groups.value(item.expression).fragment for item in query.items if isinstance(item, Item))
        having = self._conditions(groups.value, sub_select=self._no_sub_select).sql(query.having) if query.having else None
        return Grouping(values, groups.keys(), having, order)

    def _usual_order(self) -> tuple[Ordering, ...]:
        """Subtotals come behind what they total, as in the vendor's examples; a plain GROUP BY has no order of its own."""
        if self._query.subtotals is None:
            return ()
        keys = self._query.group_by
        pairs = ((Call("grouping", (key,), key.at), key) for key in keys)
        return tuple(Ordering(expression, descending=False, nulls_first=True) for pair in pairs for expression in pair)

    # -- WHERE and ORDER BY

    def _where(self) -> Fragment:
        pieces = [Fragment("1 = 1")]
        if not self._request.all_rows and self._scope.sobject.field("IsDeleted"):
            pieces = [Fragment(f"{self._scope.row}.IsDeleted = 0")]
        pieces += self._scope_filter()
        where = self._query.where
        if where is not None:
            joins.check_places(self._soql, where)
            pieces.append(self._conditions(self._own_value, sub_select=self._sub_select).sql(where))
        return joined(" AND ", pieces)

    def _scope_filter(self) -> list[Fragment]:
        if self._query.scope in (None, "everything"):
            return []
        if self._query.scope == "mine" and self._request.user_id and self._scope.sobject.field("OwnerId"):
            return [Fragment(f"{self._scope.row}.OwnerId = ?", (self._request.user_id,))]
        # Teams, territories and delegation are nothing that objects have here. The words are unverified.
        message = f"Using scope '{self._query.scope}' is not supported for entity {self._scope.sobject.name}"
        raise refusal(self._soql, self._query.at, message)

    def _own_value(self, expression: Expression) -> Value:
        value = evaluated(self._scope, expression)
        if value.aggregate:
            raise refusal(self._soql, expression.at, f"Grouped field should not be aggregated: {value.name}")
        if value.formatted:  # the words are unverified
            raise refusal(self._soql, expression.at, "FORMAT cannot be used in WHERE")
        return value

    def _conditions(self, evaluate: Callable[[Expression], Value], *, sub_select: Callable[[SemiJoin], Fragment]) -> Conditions:
        return Conditions(self._soql, now=self._request.now, evaluate=evaluate, sub_select=sub_select)

    def _no_sub_select(self, join: SemiJoin) -> Fragment:
        raise refusal(self._soql, join.query.at, "Semi-joins are only supported in WHERE clauses")

    def _sub_select(self, join: SemiJoin) -> Fragment:
        query = join.query
        if self._inner:
            raise refusal(self._soql, query.at, "Nesting of semi join sub-selects is not supported")
        child = self._request.catalog.get(query.source.text)
        if child is None or not child.queryable:
            raise no_such_object(self._soql, query.source.at, query.source.text)
        path = joins.chosen_field(self._soql, query)
        if not isinstance(join.left, FieldPath):
            raise refusal(self._soql, join.left.at, "Semi join sub-selects can only query and compare id fields")
        plan = self._nested_compiler(query, child, inner=True).plan()
        inner = plan.scope.column(path)
        joins.check_fields(self._soql, join, outer=self._scope.column(join.left), inner=inner)
        return f"SELECT {inner.sql} FROM {plan.scope.from_sql()}" + plan.tail()

    def _nested_compiler(self, query: Query, sobject: SObject, *, level: int = 1, inner: bool = False) -> _Compiler:
        self._nested += 1
        letter = "abcdefghijklmnopqrstuvwxyz"[self._nested % 26]
        return _Compiler(self._request, sobject, query, prefix=f"{self._prefix}{letter}", level=level, inner=inner)

    def _sort(self, ordering: Ordering, evaluate: Callable[[Expression], Value]) -> Sort:
        """An alias of the SELECT list is no name here: real orgs answer "No such column", the vendor's examples repeat calls."""
        value = evaluate(ordering.expression)
        if isinstance(ordering.expression, Call) and ordering.expression.name in SHOWING_FUNCTIONS:
            # Source: SOQL and SOSL Reference, "toLabel()": not with ORDER BY. The words are unverified.
            message = f"{ordering.expression.name.upper()} cannot be used in ORDER BY"
            raise refusal(self._soql, ordering.expression.at, message)
        if value.field is not None and not allows(value.field, "sortable"):
            raise refusal(self._soql, ordering.expression.at, f"field '{value.name}' can not be sorted in a query call")
        direction = "DESC" if ordering.descending else "ASC"
        # References keep their nulls at the top: NULLS LAST is taken but does nothing. Source: same book, "ORDER BY".
        nulls = "NULLS FIRST" if ordering.nulls_first or _is_reference(value) else "NULLS LAST"
        return Sort(_sort_key(value), f" {direction} {nulls}")


def _is_count(query: Query) -> bool:
    """Whether the query is `SELECT COUNT() FROM X`, which answers with a size and no records."""
    only = query.items[0] if len(query.items) == 1 else None
    is_bare = isinstance(only, Item) and isinstance(only.expression, Call)
    return is_bare and only.expression.name == "count" and not only.expression.arguments and not query.group_by  # type: ignore[union-attr]


def _uses_aggregates(query: Query) -> bool:
    """Whether something that makes groups is selected, or an aggregate function sorted by."""
    selected = (item.expression for item in query.items if isinstance(item, Item))
    return any(map(makes_groups, selected)) or any(is_aggregate(ordering.expression) for ordering in query.order_by)


def _sort_key(value: Value) -> Fragment:
    field = value.field
    if field is not None and field.type == "picklist" and field.picklist and not value.aggregate:
        # Picklists sort as their values are listed in Setup. Source: GraphQL API guide, "Order Results".
        return listed_position(value)
    # English locales sort by the UTF-8 values of capital letters; SQLite knows the capitals of ASCII only. Source: "ORDER BY".
    return "upper(" + value.fragment + ")" if value.caseless else value.fragment


def _is_reference(value: Value) -> bool:
    return value.field is not None and value.field.type == "reference"


def _component_key(compound: Field, component: Field) -> str:
    """`BillingPostalCode` in `BillingAddress` -> `postalCode`; `Place__Latitude__s` in `Place__c` -> `latitude`."""
    if compound.type == "location":
        return "latitude" if "latitude" in component.name.lower() else "longitude"
    bare = component.name.removeprefix(compound.name.removesuffix("Address"))
    return bare[:1].lower() + bare[1:]


def _compared(condition: object) -> set[str]:
    """The own fields that the condition compares, as written in lower case: candidates for an index."""
    operands = getattr(condition, "operands", ())
    left = getattr(condition, "left", None)
    found = {left.parts[0].lower()} if isinstance(left, FieldPath) and len(left.parts) == 1 else set()
    return found.union(*map(_compared, operands)) if operands else found
