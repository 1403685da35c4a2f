"""`halocline dlq purge`: what was set aside is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halocline.cli import options as shared
from halocline.cli.answer import refuse, told
from halocline.cli.dlq import options
from halocline.cli.dlq.counted import say_tally


def purge(
    queue: options.Place,
    *,
    ids: options.Ids = None,
    match: options.Match = "",
    limit: options.Limit = None,
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="Also those whose body cannot be had: what lies in S3 for them stays there.")
    ] = False,
    store: options.Store = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="A new JSONL file: each is in it before it is deleted.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them: nothing brings them back.")] = False,
    offload: options.Offload = None,
    as_is: options.AsIs = False,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """Delete the messages that were set aside; --export keeps them first."""
    from halocline.cli.dlq.place import opened
    from halocline.consume.letters.dead_letters import DeadLetters, chosen

    if not yes:
        refuse("purge deletes messages for good; say --yes. --export FILE writes each into a file before.")
    with told(as_json=as_json):
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        wanted = chosen(ids or (), matching=match)
        with place.store(store) as books:
            tally = DeadLetters(place.queue).purge(wanted, limit=limit, store=books, unreadable=unreadable, export=export)
        say_tally(place.name, tally, done="deleted", as_json=as_json)
