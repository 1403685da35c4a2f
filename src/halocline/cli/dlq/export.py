"""`halocline dlq export`: what was set aside, as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options as shared
from halocline.cli.answer import told
from halocline.cli.apart import keep_apart
from halocline.cli.dlq import options
from halocline.cli.dlq.counted import say_left, say_tally
from halocline.errors import FixConfig

if TYPE_CHECKING:
    from halocline.consume.letters.letter_places import LetterPlace

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
    from halocline.config import Settings
    from halocline.consume.letters.dead_letters import DeadLetters, Tally, chosen, write_line
    from halocline.flows.reading import place as configuration

    with told(as_json=as_json):
        read = {"the configuration": configuration(config), "the ledger": Settings.from_env().ledger}
        keep_apart({"FILE": file}, read)
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        _refuse_among_letters(file, place.letters)
        letters, wanted = DeadLetters(place.queue), chosen(ids or (), matching=match)
        if str(file) != _STDOUT:
            say_tally(place.name, letters.export(file, wanted, limit=limit), done=f"in {file}", as_json=as_json)
            return
        tally = Tally()
        with letters.looked_at(wanted, limit=limit) as found:
            for letter in found:
                write_line(sys.stdout, letter, tally=tally)
        say_left(letters.told(tally, wanted))


def _refuse_among_letters(file: Path, place: LetterPlace) -> None:
    """Raises: FixConfig for a file in a folder of letters: it would be one of them, or take the place of one."""
    from halocline.consume.letters.quarantine import Quarantine

    own = [place.queue.folder] if isinstance(place.queue, Quarantine) else []
    for folder in [*own, *([Path(place.also)] if place.also else [])]:
        if str(file) != _STDOUT and file.absolute().parent.resolve() == folder.resolve():
            raise FixConfig(f"Writing {file} (FILE)", "the letters themselves are in that folder", hint="Name a file elsewhere.")
