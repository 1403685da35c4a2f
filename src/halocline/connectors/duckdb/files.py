"""Files that a query reads: DuckDB takes a name that is no table's for a file's, and its functions take paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from halocline.connectors.duckdb.query import opened
from halocline.errors import HaloclineError

_TABLE, _FUNCTION = "BASE_TABLE", "TABLE_FUNCTION"
_PARTS = ("catalog_name", "schema_name", "table_name")


def files_named(session: object, sql: str) -> list[str]:
    """The texts in a query that may be paths or patterns of files: names that are no table's, and what table functions are given.

    Where DuckDB cannot say (the file of the database is not there, the query is none) that is the query as a whole.
    """
    if not isinstance(session, str):
        return [sql]
    try:
        connection = opened(session, memory_limit=None)
    except HaloclineError:  # whoever runs the query tells of it
        return [sql]
    try:
        ((told,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        known = {str(name).lower() for (name,) in connection.execute(_KNOWN).fetchall()}
    except duckdb.Error:
        return [sql]
    finally:
        connection.close()
    tree = json.loads(told)
    return [sql] if tree.get("error") else list(dict.fromkeys(_texts(tree, known | _named_within(tree))))


_KNOWN = """
    WITH known AS (
        SELECT database_name AS d, schema_name AS s, table_name AS t FROM duckdb_tables()
        UNION SELECT database_name, schema_name, view_name FROM duckdb_views()
    )
    SELECT unnest([t, s || '.' || t, d || '.' || t, d || '.' || s || '.' || t]) FROM known
"""


def _texts(node: Any, known: set[str]) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _texts(one, known)
    elif isinstance(node, dict):
        kind = node.get("type")
        name = ".".join(part for one in _PARTS if (part := node.get(one)))
        if kind == _TABLE and name.lower() not in known:
            yield name
        if kind == _FUNCTION:
            yield from _strings(node)
        for one in node.values():
            yield from _texts(one, known)


def _strings(node: Any) -> Iterator[str]:
    """All texts in a part of the tree: how a constant is written in it differs from version to version of DuckDB."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list | dict):
        for one in node.values() if isinstance(node, dict) else node:
            yield from _strings(one)


def _named_within(tree: Any) -> set[str]:
    """The names that the query itself gives to parts of it (WITH)."""
    if isinstance(tree, list):
        return set().union(*map(_named_within, tree))
    if not isinstance(tree, dict):
        return set()
    within = (tree.get("cte_map") or {}).get("map") or ()
    return {str(one.get("key")).lower() for one in within}.union(*map(_named_within, tree.values()))
