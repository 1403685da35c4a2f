"""A parsed query and the org's shape -> a plan that says what to read and how it is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.soql.ast import Call, Expression, FieldPath, Item, Ordering, Query
from halocline.emulator.soql.conditions import Conditions
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.refusal import refusal, unexpected
from halocline.emulator.soql.scope import Column, Scope, no_such_children, no_such_object
from halocline.emulator.soql.values import AGGREGATES, Value, allows, evaluated, is_aggregate

FIELDS_LIMIT = 200  # SOQL and SOSL Reference, "FIELDS()": unbounded sets of fields need LIMIT 200 or less


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


@dataclass(frozen=True, slots=True)
class Children:
    """A sub-query of the answer: its relationship name, its plan, and the SQL of the child's reference to the parent."""

    path: tuple[str, ...]
    plan: Plan
    parent_sql: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled query. `where` includes the rule about deleted rows; `indexed` are fields worth an index."""

    sobject: SObject
    scope: Scope
    outputs: tuple[Output | Compound | Children, ...]
    where: Fragment
    order_by: tuple[Fragment, ...]
    group_by: tuple[Fragment, ...]
    having: Fragment | None
    limit: int | None
    offset: int | None
    is_count: bool
    is_aggregate: bool
    compared: tuple[str, ...]

    def tail(self) -> Fragment:
        """WHERE, GROUP BY, HAVING, ORDER BY, LIMIT and OFFSET."""
        sql = " WHERE " + self.where
        if self.group_by:
            sql += " GROUP BY " + joined(", ", self.group_by)
        if self.having is not None:
            sql += " HAVING " + self.having
        if self.order_by:
            sql += " ORDER BY " + joined(", ", self.order_by)
        return sql + self.window()

    def window(self) -> Fragment:
        """LIMIT and OFFSET, if the query has them."""
        if self.limit is None and self.offset is None:
            return Fragment("")
        limit = -1 if self.limit is None else self.limit
        return Fragment(" LIMIT ? OFFSET ?", (limit, self.offset or 0))


@dataclass(frozen=True, slots=True)
class Request:
    """What stays the same in all parts of one query: the org's shape, the text, the time, and how it was asked."""

    catalog: Catalog
    soql: str
    now: datetime
    all_rows: bool
    bulk: bool = False
    user_id: str | None = None


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
    return _Compiler(request, sobject, query, prefix="t").plan()


class _Compiler:
    """Compiles one query or sub-query; `prefix` keeps the SQL aliases of nested queries apart."""

    def __init__(self, request: Request, sobject: SObject, query: Query, *, prefix: str) -> None:
        self._request = request
        self._soql = request.soql
        self._query = query
        self._prefix = prefix
        self._nested = 0
        self._scope = Scope(request.catalog, sobject, soql=request.soql, alias=query.alias, prefix=prefix)

    def plan(self) -> Plan:
        query, is_count = self._query, _is_count(self._query)
        grouped = bool(query.group_by) or any(isinstance(i, Item) and is_aggregate(i.expression) for i in query.items)
        if self._request.bulk:
            self._check_bulk()
        if grouped and not query.group_by and not is_count and query.limit is not None:
            message = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
            raise refusal(self._soql, query.at, message)
        if query.having is not None and not query.group_by:
            raise refusal(self._soql, query.at, "having clause needs a group by clause")
        outputs = () if is_count else self._aggregate_outputs() if grouped else self._outputs()
        return Plan(
            sobject=self._scope.sobject,
            scope=self._scope,
            outputs=outputs,
            where=self._where(),
            order_by=self._order_by(grouped=grouped and not is_count),
            group_by=tuple(self._group_key(e) for e in query.group_by),
            having=self._conditions(aggregates=True).sql(query.having) if query.having else None,
            limit=query.limit,
            offset=query.offset,
            is_count=is_count,
            is_aggregate=grouped and not is_count,
            compared=tuple(sorted(_compared(query.where))),
        )

    # -- SELECT

    def _outputs(self) -> tuple[Output | Compound | Children, ...]:
        outputs = [output for item in self._query.items for output in self._expanded(item)]
        names = [".".join(o.path).lower() for o in outputs]
        for output, name in zip(outputs, names, strict=True):
            if names.count(name) > 1:
                raise ApiError(400, "INVALID_FIELD", f"duplicate field selected: {'.'.join(output.path)}")
        return tuple(outputs)

    def _expanded(self, item: Item | Query) -> list[Output | Compound | Children]:
        if isinstance(item, Query):
            return [self._children(item)]
        if isinstance(item.expression, Call) and item.expression.name == "fields":
            paths = (FieldPath((f.name,), item.expression.at) for f in self._group_of_fields(item.expression))
            return [self._output(Item(path, None)) for path in paths]
        return [self._output(item)]

    def _output(self, item: Item) -> Output | Compound:
        expression = item.expression
        if isinstance(expression, FieldPath):
            if item.alias:
                raise refusal(self._soql, expression.at, "only aggregate expressions use field aliasing")
            column = self._scope.column(expression)
            if column.field.is_compound:
                return self._compound(column)
            return Output(column.path, evaluated(self._scope, expression))
        if expression.name not in ("tolabel", "format"):
            # Date functions are only selected when grouped by. Source: SOQL and SOSL Reference, "Date Functions".
            raise refusal(self._soql, expression.at, f"{expression.name.upper()} cannot be selected without GROUP BY")
        value = evaluated(self._scope, expression)
        if value.column is None:
            raise refusal(self._soql, expression.at, f"Invalid parameter for function '{expression.name.upper()}'")
        return Output((item.alias,) if item.alias else value.column.path, value)

    def _compound(self, column: Column) -> Compound:
        if len(column.path) > 1:
            message = f"compound field {'.'.join(column.path)} of a parent is not supported by this emulator"
            raise refusal(self._soql, self._query.at, message)
        wanted = column.field.name.lower()
        parts = (f for f in self._scope.sobject.fields.values() if (f.compound or "").lower() == wanted)
        found = [(_component_key(column.field, f), self._scope.column(FieldPath((f.name,), self._query.at))) for f in parts]
        return Compound(column.path, tuple(sorted(found, key=lambda pair: pair[0])))

    def _group_of_fields(self, call: Call) -> list[Field]:
        group = call.arguments[0].text.lower() if len(call.arguments) == 1 else ""
        if group not in ("all", "standard", "custom"):
            raise unexpected(self._soql, call.at, call.text)
        if group != "standard" and self._request.bulk:
            message = "The SOQL FIELDS function is not supported with an unbounded set of fields in this API"
            raise ApiError(400, "MALFORMED_QUERY", message)
        if group != "standard" and (self._query.limit is None or self._query.limit > FIELDS_LIMIT):
            message = f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT}"
            raise ApiError(400, "MALFORMED_QUERY", message)
        wanted = (f for f in self._scope.sobject.fields.values() if group == "all" or f.custom == (group == "custom"))
        return [f for f in wanted if not (self._request.bulk and (f.is_compound or f.type == "base64"))]

    def _children(self, query: Query) -> Children:
        name = query.source.parts[-1]
        links = self._request.catalog.children(self._scope.sobject.name)
        link = next((c for c in links if c.relationship_name and c.relationship_name.lower() == name.lower()), None)
        child = self._request.catalog.get(link.child_sobject) if link else None
        if link is None or child is None:
            raise no_such_children(self._soql, query.source.at, name)
        plan = self._nested_compiler(query, child).plan()
        if plan.is_count or plan.is_aggregate:
            raise refusal(self._soql, query.at, "Aggregate functions are not supported in child relationship queries")
        reference = plan.scope.column(FieldPath((link.field,), query.at))
        return Children((link.relationship_name or name,), replace(plan, compared=(*plan.compared, link.field)), reference.sql)

    # -- aggregates

    def _aggregate_outputs(self) -> tuple[Output, ...]:
        groups = {_key(e) for e in self._query.group_by}
        outputs: list[Output] = []
        unnamed = 0
        for item in self._query.items:
            if isinstance(item, Query):
                raise refusal(self._soql, item.at, "Grouped queries cannot have child relationship queries")
            value = self._grouped_value(item.expression, groups)
            name = item.alias or (value.column.path[-1] if value.column else None)
            if name is None:
                name, unnamed = f"expr{unnamed}", unnamed + 1
            if name.lower() in (o.path[0].lower() for o in outputs):
                raise refusal(self._soql, item.expression.at, f"duplicate alias: {name}")
            outputs.append(Output((name,), value))
        return tuple(outputs)

    def _grouped_value(self, expression: Expression, groups: set[tuple[str, ...]]) -> Value:
        value = evaluated(self._scope, expression)
        if not value.aggregate and _key(expression) not in groups:
            raise refusal(self._soql, expression.at, f"Field must be grouped or aggregated: {value.name}")
        return value

    def _group_key(self, expression: Expression) -> Fragment:
        value = evaluated(self._scope, expression)
        if value.aggregate or (value.field is not None and not allows(value.field, "groupable")):
            raise refusal(self._soql, expression.at, f"field '{value.name}' can not be grouped in a query call")
        return value.fragment + (" COLLATE NOCASE" if value.caseless else "")

    # -- WHERE and ORDER BY

    def _where(self) -> Fragment:
        pieces = [Fragment("1 = 1")]
        if not self._request.all_rows and self._scope.sobject.field("IsDeleted"):
            pieces = [Fragment(f"{self._scope.row}.IsDeleted = 0")]
        pieces += self._scope_filter()
        if self._query.where is not None:
            pieces.append(self._conditions(aggregates=False).sql(self._query.where))
        return joined(" AND ", pieces)

    def _scope_filter(self) -> list[Fragment]:
        if self._query.scope in (None, "everything"):
            return []
        if self._query.scope == "mine" and self._request.user_id and self._scope.sobject.field("OwnerId"):
            return [Fragment(f"{self._scope.row}.OwnerId = ?", (self._request.user_id,))]
        raise refusal(self._soql, self._query.at, f"scope {self._query.scope} is not supported by this emulator")

    def _conditions(self, *, aggregates: bool) -> Conditions:
        return Conditions(self._scope, now=self._request.now, sub_select=self._sub_select, aggregates=aggregates)

    def _sub_select(self, query: Query) -> Fragment:
        if len(self._prefix) > 1:
            raise refusal(self._soql, query.at, "Nesting of semi join sub-selects is not supported")
        child = self._request.catalog.get(query.source.text)
        if child is None:
            raise no_such_object(self._soql, query.source.at, query.source.text)
        compiler = self._nested_compiler(replace(query, limit=None, order_by=()), child)
        plan = compiler.plan()
        output = plan.outputs[0] if plan.outputs else None
        if query.limit is not None or query.order_by or plan.is_aggregate:
            raise refusal(self._soql, query.at, "Semi join sub-selects cannot use ORDER BY, LIMIT or aggregates")
        if not isinstance(output, Output) or output.value.type not in ("id", "reference"):
            raise refusal(self._soql, query.at, "Semi join sub-selects can only query and compare id fields")
        return "SELECT " + output.value.fragment + f" FROM {plan.scope.from_sql()}" + plan.tail()

    def _nested_compiler(self, query: Query, sobject: SObject) -> _Compiler:
        self._nested += 1
        return _Compiler(self._request, sobject, query, prefix=f"{self._prefix}{'abcdefghijklmnopqrstuvwxyz'[self._nested % 26]}")

    def _order_by(self, *, grouped: bool) -> tuple[Fragment, ...]:
        groups = {_key(e) for e in self._query.group_by}
        return tuple(self._ordered(ordering, groups if grouped else None) for ordering in self._query.order_by)

    def _ordered(self, ordering: Ordering, groups: set[tuple[str, ...]] | None) -> Fragment:
        if groups is not None:
            value = self._aliased(ordering.expression) or self._grouped_value(ordering.expression, groups)
        else:
            value = evaluated(self._scope, ordering.expression)
        if value.field is not None and not allows(value.field, "sortable"):
            raise refusal(self._soql, ordering.expression.at, f"field '{value.name}' can not be sorted in a query call")
        direction = "DESC" if ordering.descending else "ASC"
        nulls = "NULLS FIRST" if ordering.nulls_first else "NULLS LAST"
        return _sort_key(value) + f" {direction} {nulls}"

    def _aliased(self, expression: Expression) -> Value | None:
        if not isinstance(expression, FieldPath) or len(expression.parts) > 1:
            return None
        wanted = expression.parts[0].lower()
        named = (i for i in self._query.items if isinstance(i, Item) and (i.alias or "").lower() == wanted)
        item = next(named, None)
        return evaluated(self._scope, item.expression) if item else None

    # -- Bulk

    def _check_bulk(self) -> None:
        """Refuse what Bulk query refuses.

        Source: Bulk API 2.0 and Bulk API Developer Guide, "Query limitations": no GROUP BY, OFFSET, TYPEOF, aggregate functions,
        compound fields, parent-to-child relationships. Code API_ERROR as recorded; the words for GROUP BY, OFFSET and aggregates
        are unverified.
        """
        query = self._query
        if any(isinstance(item, Query) for item in query.items):
            raise ApiError(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
        calls = [i.expression for i in query.items if isinstance(i, Item) and isinstance(i.expression, Call)]
        for call in calls:
            if call.name in AGGREGATES or call.name == "format":
                message = f"Implementation restriction: {call.name.upper()} is not supported in Bulk Query"
                raise ApiError(400, "API_ERROR", message)
        for clause, used in (("GROUP BY", query.group_by), ("OFFSET", query.offset is not None)):
            if used:
                raise ApiError(400, "API_ERROR", f"Implementation restriction: {clause} is not supported in Bulk Query")
        for item in query.items:
            path = item.expression if isinstance(item, Item) else None
            if isinstance(path, FieldPath) and self._scope.column(path).field.is_compound:
                raise ApiError(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")


def _is_count(query: Query) -> bool:
    """Whether the query is `SELECT COUNT() FROM X`, which answers with a size and no records."""
    only = query.items[0] if len(query.items) == 1 else None
    is_bare = isinstance(only, Item) and isinstance(only.expression, Call)
    return is_bare and only.expression.name == "count" and not only.expression.arguments and not query.group_by  # type: ignore[union-attr]


def _key(expression: Expression) -> tuple[str, ...]:
    """The same for two spellings of one expression."""
    if isinstance(expression, FieldPath):
        return tuple(p.lower() for p in expression.parts)
    return (expression.name, *(part for a in expression.arguments for part in _key(a)))


def _sort_key(value: Value) -> Fragment:
    field = value.field
    if field is not None and field.type == "picklist" and field.picklist and not value.aggregate:
        # Picklists sort as their values are listed in Setup. Source: GraphQL API guide, "Order Results".
        cases = joined("", (Fragment(" WHEN ? THEN ?", (p.value, n)) for n, p in enumerate(field.picklist)))
        listed = "CASE WHEN " + value.fragment + " IS NULL THEN NULL ELSE CASE " + value.fragment + cases
        return listed + f" ELSE {len(field.picklist)} END END"
    return value.fragment + (" COLLATE NOCASE" if value.caseless else "")


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
