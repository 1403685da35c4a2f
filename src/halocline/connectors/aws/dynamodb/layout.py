"""Layout: which attributes, tags and nested names the items seen so far have, as the Arrow type that a page is parsed into.

A page is parsed with the types of a layout and nothing else is let through; what it lacks is learned from the page itself.
Maps whose names are data (one for each user, say) would become thousands of columns: such attributes are wild, and are left to
a slower way.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from halocline.connectors.aws.dynamodb.values import TAGS, malformed, shown

WIDEST = 400  # nested names below one attribute before it counts as wild
MANY = 2_000  # attributes from which on a page costs more in Arrow than item by item, and more with each that is new
_LEAF = {
    **dict.fromkeys(("S", "N", "B"), pa.string()),
    **dict.fromkeys(("BOOL", "NULL"), pa.bool_()),
    **dict.fromkeys(("SS", "NS", "BS"), pa.list_(pa.string())),
}
_DEEP = frozenset({"M", "L"})
Node = dict[str, Any]
"""The tags of an attribute: M holds nodes by name, L holds the node of its members, the others hold None."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of the items. `wild` attributes have only their tags here.

    `only`: just these attributes are of interest, and nothing of what is in their maps and lists.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    wild: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    def learned(self, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> Layout:
        """The layout that holds these items too.

        Raises: Stop for what DynamoDB would not have sent.
        """
        nodes, touched = dict(self.nodes), set[str]()
        for item in items:
            if not isinstance(item, dict):
                raise malformed("an item is no object")
            for name, value in item.items():
                if self.only and name not in self.only:
                    continue
                if name not in touched:
                    nodes[name] = copy.deepcopy(nodes.get(name, {}))
                    touched.add(name)
                _grow(nodes[name], value, deep=not self.only and name not in self.wild)
        if self.only:
            return replace(self, nodes=nodes)
        wild = {name for name in touched if _size(nodes[name]) > WIDEST}
        if wild or self.wild:  # every page is read by the slower way then, and it reads all nested ones
            wild = {name for name, node in nodes.items() if _DEEP & node.keys()}
            nodes.update({name: dict.fromkeys(nodes[name]) for name in wild})
        return Layout(nodes, self.wild | frozenset(wild))

    def covers(self, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> bool:
        """Whether the attributes of these items and their tags are known; nested ones are not looked at."""
        seen = {(name, tag) for item in items for name, value in item.items() for tag in value}
        return all(name in self.nodes and tag in self.nodes[name] for name, tag in seen)

    def arrow(self) -> pa.DataType:
        """The type of an item, without the wild attributes."""
        return pa.struct([(name, _type(node)) for name, node in self.nodes.items() if name not in self.wild])


def _grow(node: Node, value: Any, *, deep: bool = True) -> None:
    if not isinstance(value, dict) or len(value) != 1:
        raise malformed(f"{shown(value)} is no attribute value")
    ((tag, held),) = value.items()
    if tag == "M" and deep:
        inside = node.setdefault("M", {})
        for name, one in _of(dict, held, tag).items():
            _grow(inside.setdefault(name, {}), one)
    elif tag == "L" and deep:
        member = node.setdefault("L", {})
        for one in _of(list, held, tag):
            _grow(member, one)
    elif tag in TAGS:
        node.setdefault(tag, None)
    else:
        raise malformed(f"DynamoDB has no type {shown(tag)} that we know")


def _of(kind: type, held: Any, tag: str) -> Any:
    if not isinstance(held, kind):
        raise malformed(f"{shown(held)} is no {tag}")
    return held


def _size(node: Node) -> int:
    inside = node.get("M") or {}
    member = node.get("L")
    return len(inside) + sum(_size(one) for one in inside.values()) + (_size(member) if member else 0)


def _type(node: Node) -> pa.DataType:
    return pa.struct([(tag, _held(tag, held)) for tag, held in node.items()])


def _held(tag: str, held: Any) -> pa.DataType:
    """What a map or list holds is of no interest where nothing is known of it."""
    if tag == "M":
        return pa.struct([(name, _type(node)) for name, node in (held or {}).items()])
    if tag == "L":
        return pa.list_(_type(held or {}))
    return _LEAF[tag]
