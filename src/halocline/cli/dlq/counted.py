"""What a verb says of the letters that it dealt with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from halocline.cli.answer import err, out, say_json
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.consume.letters.dead_letters import Tally

_PARTLY = 3
_SHOWN = 10


def say_tally(name: str, tally: Tally, *, done: str, as_json: bool) -> None:
    """Say what became of letters, and end with 3 where some are left, may have been sent twice, or were not found."""
    code = _PARTLY if tally.left or tally.doubted or tally.missing or tally.unseen else 0
    if as_json:
        say_json({"queue": name, **tally.to_json(), "exit_code": code})
    else:
        out.print(f"{name}: {quantity(tally.done, 'message')} {done}", markup=False)
        if tally.again:
            out.print(f"{quantity(tally.again, 'message')} had been sent by an earlier try, and only had to go.", markup=False)
        if tally.handled:
            told = quantity(tally.handled, "message")
            out.print(f"{told} had been handled since they were set aside, and only had to go.", markup=False)
        if tally.doubted:
            told = quantity(tally.doubted, "message")
            err.print(f"{told} may have been sent by an earlier try that was cut off, and are sent again.", markup=False)
        if tally.unknown:
            told = f"The store knows nothing of the keys of {quantity(tally.unknown, 'message')}."
            err.print(f"{told} If their worker has another one, it sets them aside again: give it with --store.", markup=False)
    say_left(tally, as_json=as_json)
    if code:
        raise typer.Exit(code)


def say_left(tally: Tally, *, as_json: bool = False) -> None:
    """Say which letters are left, and why, and which were not found, to people; and end with 3 if any is."""
    if not (tally.left or tally.missing or tally.unseen):
        return
    if not as_json:
        if tally.missing:
            err.print(f"No message was set aside with the id {', '.join(tally.missing)}.", markup=False)
        say_unseen(tally.unseen)
        for letter, why in tally.left[:_SHOWN]:
            err.print(f"{letter.id} is left: {why}", markup=False)
        if len(tally.left) > _SHOWN:
            err.print(f"... and {len(tally.left) - _SHOWN:,} more are left.", markup=False)
    raise typer.Exit(_PARTLY)


def say_unseen(count: int) -> None:
    """Say to people that there are more letters than were looked at."""
    if count:
        told = f"About {quantity(count, 'more message')} could not be seen: of a group of a FIFO queue, the first ten can be."
        err.print(f"{told} `halocline dlq purge --export FILE` writes each before it is deleted, and sees all.", markup=False)
