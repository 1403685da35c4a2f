"""`halocline dlq export`: what was set aside, as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from halocline.cli import options as shared
from halocline.cli.answer import told
from halocline.cli.dlq import options
from halocline.cli.dlq.counted import say_left, say_tally

_STDOUT = "-"


def export(
    queue: options.Place,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSONL file, one message a line; - prints it.")],
    *,
    ids: options.Ids = None,
    match: options.Match = "",
    limit: options.Limit = None,
    offload: options.Offload = None,
    as_is: options.AsIs = False,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """Write the messages that were set aside into a file, bodies and all; they stay where they are."""
    from halocline.cli.dlq.place import opened
    from halocline.consume.letters.dead_letters import DeadLetters, Tally, chosen, write_line

    with told(as_json=as_json):
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        letters, wanted = DeadLetters(place.queue), chosen(ids or (), matching=match)
        if str(file) != _STDOUT:
            say_tally(place.name, letters.export(file, wanted, limit=limit), done=f"in {file}", as_json=as_json)
            return
        tally = Tally()
        with letters.looked_at(wanted, limit=limit) as found:
            for letter in found:
                write_line(sys.stdout, letter, tally=tally)
        say_left(letters.told(tally, wanted))
