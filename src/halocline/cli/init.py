"""`halocline init` and `halocline schema`: a halocline.yaml to begin with, and what an editor needs to help with it."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from importlib.resources import files
from typing import Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import out, refuse, say_json, told
from halocline.cli.apart import keep_apart
from halocline.config import environment


def init(
    config: options.Config = None,
    *,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="sync, push, file, listen or tables; mostly the others tell.")
    ] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="salesforce, a URI, env:NAME with one, or for a push a file.")
    ] = "",
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="salesforce, a URI, or env:NAME with one.")] = "",
    objects: Annotated[
        list[str] | None, typer.Option("--object", metavar="OBJECT", help="A Salesforce object, or '*'. Repeatable.")
    ] = None,
    key: Annotated[str, typer.Option("--key", metavar="FIELD", help="The external id field of an upsert.")] = "",
    query: Annotated[str, typer.Option("--query", metavar="SQL", help="What a push asks the database.")] = "",
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="FROM[=TO]", help="A table of a flow of tables. Repeatable.")
    ] = None,
    queue: Annotated[str, typer.Option("--queue", metavar="QUEUE", help="The queue to listen to, by name or URL.")] = "",
    handlers: Annotated[str, typer.Option("--handlers", metavar="MODULE:NAME", help="Where its handlers are.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the flow is called.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a halocline.yaml to begin with, as the options say, or by asking; a commented sample where nobody can be asked."""
    from halocline.flows.draft import Draft, kind_of
    from halocline.flows.reading import place, understood
    from halocline.spool import WHERE_NAMED, storage

    path = place(config)
    if path.exists() and not force:
        refuse(f"{path} is there already; --force writes over it, --config FILE names another.")
    given = Draft(
        "file" if kind == "files" else kind,
        *(source, to, objects or (), key, query, table or (), queue, handlers, name),
    )
    with told(as_json=False):
        keep_apart({"--config": path}, {"the source": source or None})
        if any(getattr(given, one.name) for one in fields(given)):
            text = (given if given.kind else replace(given, kind=kind_of(given))).text(environment())
        elif sys.stdin.isatty() and sys.stdout.isatty():
            from halocline.cli.asking import asked

            text = asked(environment()).text(environment())
        else:
            text = files("halocline.flows").joinpath("sample.yaml").read_text(encoding="utf-8")
        ((flow, one),) = understood(text).flows.items()
        with storage(f"Writing {path}", room=WHERE_NAMED):
            path.write_text(text, encoding="utf-8")
    verb = "listen" if one.kind == "listen" else "run"
    out.print(f"{path} is written; `halocline check` tells what is missing, `halocline {verb} {flow}` does it.", markup=False)


def schema() -> None:
    """Print the JSON schema of halocline.yaml, by which editors complete and check it."""
    from halocline.flows.json_schema import json_schema

    say_json(json_schema())
