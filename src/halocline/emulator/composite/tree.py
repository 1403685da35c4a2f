"""`/composite/tree/X`: new records with their children below them, all of them or none.

Source: REST API Developer Guide, "sObject Tree", "sObject Tree Request Body", "sObject Tree Response Body".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from halocline.emulator.errors import ApiError, malformed_json, no_column
from halocline.emulator.members import Members
from halocline.emulator.records import writer
from halocline.emulator.save_results import is_unreadable, save_error
from halocline.emulator.wire import Answer, Ask, json_answer

if TYPE_CHECKING:
    from halocline.emulator.objects import Catalog, ChildRelationship, SObject

MOST_RECORDS, MOST_LEVELS, MOST_TYPES = 200, 5, 5


@dataclass(frozen=True, slots=True)
class _Node:
    """One record: what it holds itself, and which field points at its parent (None for a root)."""

    reference_id: str
    sobject: SObject
    values: Mapping[str, object]
    link: str | None
    children: tuple[_Node, ...]


SINCE = 34  # API version. Source: Summer '15 Release Notes, "REST API", where it is a pilot; when that ended is unverified


def create(ask: Ask) -> Answer:
    """`POST /composite/tree/X`: 201 with the ids, level by level; 400 with the record that was refused, and nothing written."""
    root = ask.org.sobject(ask.params["sobject"])
    body = Members.of(ask.json(), (), required=("records",))
    roots = [_node(ask.org.catalog, record, link=None, level=1) for record in body.objects("records")]
    if any(node.sobject.name != root.name for node in roots):
        raise ApiError(400, "INVALID_INPUT", f"The root records of this request must be of type {root.name}")
    refused = _broken_rules(roots)
    if not refused:
        try:
            return json_answer({"hasErrors": False, "results": _inserted(ask, roots)}, status=201)
        except _Refused as stop:
            if is_unreadable(stop.error):
                raise stop.error from stop
            refused = [(stop.node.reference_id, stop.error)]
    results = [{"referenceId": name, "errors": [save_error(error)]} for name, error in refused]
    return json_answer({"hasErrors": True, "results": results}, status=400)


class _Refused(Exception):
    """Ends the transaction of a tree at the record that was refused."""

    def __init__(self, node: _Node, error: ApiError) -> None:
        super().__init__(node.reference_id)
        self.node = node
        self.error = error


def _node(catalog: Catalog, record: Mapping[str, object], *, link: str | None, level: int) -> _Node:
    attributes = Members.of(record.get("attributes") or {}, ("url",), required=("type", "referenceId"))
    sobject = catalog.get(attributes.text("type"))
    if sobject is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{attributes.text('type')}' is not supported.")
    if level > MOST_LEVELS:
        raise ApiError(400, "INVALID_INPUT", f"sObject trees can be at most {MOST_LEVELS} levels deep")
    own = {name: value for name, value in record.items() if name != "attributes" and not _is_nested(value)}
    children = [
        node
        for name, value in record.items()
        if name != "attributes" and _is_nested(value)
        for node in _children(catalog, sobject, name, value=value, level=level)
    ]
    return _Node(attributes.text("referenceId"), sobject, own, link, tuple(children))


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping) and "records" in value


def _children(catalog: Catalog, parent: SObject, name: str, *, value: object, level: int) -> Iterator[_Node]:
    relation = _relation(catalog, parent, name)
    if relation is None:
        raise no_column(name, parent.name)
    for record in Members.of(value, (), required=("records",)).objects("records"):
        node = _node(catalog, record, link=relation.field, level=level + 1)
        if node.sobject.name != relation.child_sobject:
            raise malformed_json(f"{name} of {parent.name} holds records of {relation.child_sobject}, not {node.sobject.name}")
        yield node


def _relation(catalog: Catalog, parent: SObject, name: str) -> ChildRelationship | None:
    known = (one for one in catalog.children(parent.name) if one.relationship_name)
    return next((one for one in known if cast("str", one.relationship_name).lower() == name.lower()), None)


def _broken_rules(roots: Sequence[_Node]) -> list[tuple[str, ApiError]]:
    """Records that break a rule of trees, each with its error. The words about ids given twice are quoted by several clients.
    Raises: ApiError(400) for a request that is too large; its words are unverified.
    """
    nodes = [node for level in _levels(roots) for node in level]
    if len(nodes) > MOST_RECORDS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The request can\u2019t contain more than {MOST_RECORDS} records.")
    if len({node.sobject.name for node in nodes}) > MOST_TYPES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The request can\u2019t contain records of more than {MOST_TYPES} types.")
    times = Counter(node.reference_id for node in nodes)
    twice = ApiError(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request.")
    return [(node.reference_id, twice) for node in nodes if times[node.reference_id] > 1]


def _levels(roots: Sequence[_Node]) -> Iterator[Sequence[_Node]]:
    level = roots
    while level:
        yield level
        level = [child for node in level for child in node.children]


def _inserted(ask: Ask, roots: Sequence[_Node]) -> list[dict[str, object]]:
    """Raises: _Refused; nothing is written then."""
    write = writer(ask)
    ids: dict[str, str] = {}
    with write.alone(), ask.org.rules.one_save(), ask.org.store.database.together():
        due: list[tuple[_Node, str | None]] = [(node, None) for node in roots]
        while due:
            for node, parent_id in due:
                values = dict(node.values) if node.link is None else {**node.values, node.link: parent_id}
                try:
                    ids[node.reference_id] = write.insert(node.sobject, values)
                except ApiError as error:
                    raise _Refused(node, error) from error
            due = [(child, ids[node.reference_id]) for node, _ in due for child in node.children]
    return [{"referenceId": name, "id": record_id} for name, record_id in ids.items()]
