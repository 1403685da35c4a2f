"""Asked: what a copy of tables asks of any source, in the words of `Wanted`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline.errors import FixConfig, NotFound
from halocline.mapping.near import near
from halocline.option_values import TEXTS, refuse_others
from halocline.schema import Schema


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `Wanted` that are meant by those of a copy; all others are as they were.

    `items`: a builder reads, so nothing is inferred. `schema` are declared columns, `target` those of the table that is there,
    whose names may be spelled in another case; `columns` and `exclude` choose among them by name. `projection` may be a list.
    Raises: FixConfig for columns that are chosen by name, and that nothing describes; for changes that a builder is to read;
    NotFound for a name that no column has.
    """
    told = {name: value for name, value in options.items() if name not in ("items", "schema", "target", "exclude")}
    if options.get("items"):
        told["infer"] = False
        if options.get("streams"):
            cause = "which rows a builder made of an item that changed or is gone, nobody knows"
            raise FixConfig("Reading DynamoDB", cause, hint="Read the table without streams, or without a builder.")
    projection, chosen = options.get("projection"), told.get("columns")
    if projection is not None and TEXTS.holds(projection):
        told["projection"] = ", ".join(projection)
    if isinstance(chosen, Schema):
        return told
    refuse_others(options, {"columns": TEXTS, "exclude": TEXTS}, doing="Reading DynamoDB")
    told.pop("columns", None)
    described: Schema | None = options.get("schema") or options.get("target")
    names, out = chosen, options.get("exclude") or ()
    if described is None:
        if names is not None or out:
            hint = "Declare them: schema: {id: text not null, ...}"
            raise FixConfig("Reading DynamoDB", "columns are chosen by name, and nothing says of which type they are", hint=hint)
        return told
    told["columns"] = _among(described, names, out)
    told["besides"] = tuple(one for one in described.names if told["columns"].column(one) is None)
    told.setdefault("any_case", options.get("schema") is None)
    return told


def _among(described: Schema, names: Sequence[str] | None, out: Sequence[str]) -> Schema:
    for name in (*(names or ()), *out):
        if described.column(name) is None:  # of a misspelt one to leave out, the column that is meant would be loaded
            cause, hint = (
                f"there is no column {name!r} among those that can be loaded",
                "What has no column is not loaded anyway.",
            )
            raise NotFound("Reading DynamoDB", cause, suggestions=near(name, described.names), hint=hint if name in out else "")
    left_out = {name.lower() for name in out}
    chosen = described if names is None else described.select(names)
    return Schema(tuple(column for column in chosen if column.name.lower() not in left_out), described.key)
