"""`halocline dlq ls` and `halocline dlq show`: what was set aside, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options as shared
from halocline.cli.answer import cell, out, say_json, told
from halocline.cli.dlq import options
from halocline.cli.dlq.counted import say_left, say_unseen
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.dlq.place import Opened
    from halocline.consume.letters.dead_letters import Letter

_SHOWN = 160  # characters of a reason in the table
_LISTED = 50


def ls(
    queue: options.Place,
    *,
    match: options.Match = "",
    limit: options.Limit = _LISTED,
    offload: options.Offload = None,
    as_is: options.AsIs = False,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """List the messages that were set aside, without their bodies; they stay where they are."""
    from halocline.cli.dlq.place import opened
    from halocline.consume.letters.dead_letters import DeadLetters, Tally, chosen

    with told(as_json=as_json):
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        most = _LISTED if limit is None else limit
        among = DeadLetters(place.queue)
        with among.looked_at(chosen(matching=match), limit=most + 1) as letters:
            found = list(letters)
        if as_json:
            for letter in found[:most]:
                say_json(letter.to_json(body=False))
        else:
            _show(place, found, most=most)
        say_left(Tally(unseen=among.unseen))


def show(
    queue: options.Place,
    message: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `halocline dlq ls` tells it, or how that begins.")],
    *,
    offload: options.Offload = None,
    as_is: options.AsIs = False,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """Show one message that was set aside, with its body; it stays where it is."""
    from halocline.cli.dlq.place import opened
    from halocline.consume.letters.dead_letters import DeadLetters
    from halocline.errors import NotFound

    with told(as_json=as_json):
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        among = DeadLetters(place.queue)
        with among.looked_at(lambda one: _is(one, message), limit=2) as letters:
            found = list(letters)
        say_unseen(among.unseen)
        if len(found) != 1:
            cause = "several begin so" if found else "there is none"
            raise NotFound(f"Looking for the message {message} in {place.name}", cause, hint="`halocline dlq ls` lists them.")
        if as_json:
            say_json(found[0].to_json(body=True))
        else:
            _tell(found[0])


def _is(letter: Letter, begun: str) -> bool:
    return letter.id.startswith(begun) or letter.original.startswith(begun)


def _show(place: Opened, found: list[Letter], *, most: int) -> None:
    from rich.table import Table

    name, folder = place.name, getattr(place.queue, "folder", None)
    if not found:
        where = "" if folder is None else f" on this host, in {folder}"
        out.print(f"{name}: no message is set aside{where}.", markup=False)
        return
    table = Table("id", "set aside", "for", "tries", "reason", box=None, pad_edge=False)
    for one in found[:most]:
        reason = " ".join((one.delivery.failure or one.reason or "its queue's own policy").split())
        reason = reason if len(reason) <= _SHOWN else f"{reason[: _SHOWN - 3]}..."
        table.add_row(*(cell(text) for text in (one.id, _when(one), one.source or "-", str(one.receives), reason)))
    out.print(table)
    if len(found) > most:
        out.print(f"... and more; --limit shows so many, `halocline dlq export {name} FILE` writes them all.", markup=False)


def _tell(letter: Letter) -> None:
    told_of = {name: value for name, value in letter.to_json(body=False).items() if value not in ("", 0, None, {})}
    for name, value in told_of.items():
        out.print(f"{name}: {value if isinstance(value, str) else json.dumps(value)}", markup=False)
    out.print(f"when: {_when(letter)}", markup=False)
    out.print(f"body ({quantity(len(letter.delivery.body.encode()), 'byte')}):", markup=False)
    typer.echo(letter.delivery.body)


def _when(letter: Letter) -> str:
    at = letter.at or letter.delivery.sent_ms / 1_000
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else "-"
