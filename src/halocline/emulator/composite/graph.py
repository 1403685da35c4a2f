"""`/composite/graph`: sets of dependent requests, each set done as a whole or not at all.

Source: REST API Developer Guide, "Composite Graph", "Using Composite Graphs", "Composite Graph Limits". The words for too many
nodes are those that forcedotcom's function SDK recorded of v50.0; those for the other limits are made like them, unverified.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from halocline.emulator.composite.references import named
from halocline.emulator.composite.subrequests import Result, Subrequest, all_or_none, halted, refused, subrequests
from halocline.emulator.errors import ApiError
from halocline.emulator.members import Members
from halocline.emulator.wire import Answer, Ask, json_answer

SINCE = 50  # API version. Source: REST API Developer Guide, "Composite Graph"
MOST_GRAPHS = 75
MOST_NODES = 500  # in one payload
MOST_LEVELS = 15  # of a graph
MOST_KINDS = 15  # of nodes: version, method and object
MOST_FAILURES = 14  # graphs; one more halts the rest
_NODE = re.compile(r"/services/data/(v[^/]+)/sobjects/([^/?]+)(/[^/?]+){0,2}/?(?:\?.*)?\Z", re.IGNORECASE | re.DOTALL)
_GRAPH_ID = re.compile(r"[A-Za-z0-9][^.]{0,39}")


@dataclass(frozen=True, slots=True)
class _Graph:
    """One set of dependent requests."""

    id: str
    nodes: list[Subrequest]


def perform(ask: Ask) -> Answer:
    """`POST /composite/graph`: 200 with the answers of every graph, and whether it was done."""
    body = Members.of(ask.json(), (), required=("graphs",))
    graphs = [_graph(value, version=ask.version) for value in body.array("graphs")]
    _check_ids(graphs)
    over = _over_limit(graphs)
    failures = 0
    answers = []
    for graph in graphs:
        results = [over] if over else _done(ask, graph, halt=failures > MOST_FAILURES)
        successful = not any(one.failed for one in results)
        failures += not successful
        listed = {"compositeResponse": [one.as_json() for one in results]}
        answers.append({"graphId": graph.id, "graphResponse": listed, "isSuccessful": successful})
    return json_answer({"graphs": answers})


def _graph(value: object, *, version: str) -> _Graph:
    members = Members.of(value, (), required=("graphId", "compositeRequest"))
    return _Graph(members.text("graphId"), subrequests(members.array("compositeRequest"), version=version))


def _check_ids(graphs: Sequence[_Graph]) -> None:
    """Raises: ApiError(400) for a graph id that breaks the rules of the guide; the words are unverified."""
    bad = next((graph.id for graph in graphs if not _GRAPH_ID.fullmatch(graph.id)), None)
    if bad is not None:
        message = f"Invalid graphId '{bad}': it must begin with a letter or a number, have at most 40 characters and no period"
        raise ApiError(400, "INVALID_INPUT", message)
    if len({graph.id for graph in graphs}) < len(graphs):
        raise ApiError(400, "INVALID_INPUT", "Duplicate graphId provided in the request.")


def _over_limit(graphs: Sequence[_Graph]) -> Result | None:
    nodes = [node for graph in graphs for node in graph.nodes]
    kinds = {(node.method, *_kind(node)) for node in nodes}
    limits = (
        (len(nodes), MOST_NODES, "number of Nodes in the Graph"),
        (len(graphs), MOST_GRAPHS, "number of Graphs in the Payload"),
        (len(kinds), MOST_KINDS, "number of different Nodes in the Payload"),
        (max((_depth(graph.nodes) for graph in graphs), default=0), MOST_LEVELS, "depth of the Graph"),
    )
    broken = next(((most, what) for count, most, what in limits if count > most), None)
    return broken and refused("LIMIT_EXCEEDED", f"Limit of {broken[0]} reached for {broken[1]}")


def _depth(nodes: Sequence[Subrequest]) -> int:
    """How many nodes stand in the longest row in which each refers to the one before."""
    depths: dict[str, int] = {}
    for node in nodes:
        earlier = named(node.url) | named(node.body)
        depths[node.reference_id] = 1 + max((depths.get(name, 0) for name in earlier), default=0)
    return max(depths.values(), default=0)


def _kind(node: Subrequest) -> tuple[str, str]:
    """Version and object of a node.
    Raises: ApiError(400) for a resource that graphs cannot use; the words are unverified.
    """
    match = _NODE.match(node.url)
    if match is None:
        raise ApiError(400, "INVALID_INPUT", f"The resource is not supported in a composite graph: {node.url}")
    return match[1].lower(), match[2].lower()


def _done(ask: Ask, graph: _Graph, *, halt: bool) -> list[Result]:
    if halt:
        message = f"Limit of {MOST_FAILURES} reached for number of failed Graphs"
        return [halted(node, message) for node in graph.nodes]
    return all_or_none(ask, graph.nodes)
