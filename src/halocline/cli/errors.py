"""`halocline errors`: the rows of a run that were not written, or may not have been."""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import cell, err, out, refuse, told
from halocline.cli.apart import keep_apart
from halocline.cli.left import standing
from halocline.cli.system import the_rows
from halocline.quantity import MOST, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from halocline.outcome import Rejection, RunRecord

_STDOUT = "-"
_SHOWN = 160  # characters of a message in the table


def errors(
    run: options.Run,
    *,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write them to a CSV file, for people; - prints it.")
    ] = None,
    excel: Annotated[bool, typer.Option("--excel", help="Begin the CSV file with the mark by which Excel knows UTF-8.")] = False,
    jsonl: Annotated[
        Path | None, typer.Option("--jsonl", metavar="FILE", help="Write them to a JSONL file, exactly; - prints it.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many to show.", min=1, max=MOST)] = 50,
    as_json: options.Json = False,
) -> None:
    """Show the rows of a run that were refused, never sent or are in doubt; rows are counted from 0 in the source."""
    if csv is not None and jsonl is not None:
        refuse("--csv and --jsonl ask for one file each; give one of them.")
    from halocline import report
    from halocline.config import Settings
    from halocline.ledger import open_ledger

    with told(as_json=as_json), open_ledger(place := Settings.from_env().ledger) as ledger:
        keep_apart({"--csv": csv, "--jsonl": jsonl}, {"the ledger": place})
        record = the_rows(ledger, run)
        read, more = partial(report.rejections_of, ledger, record.run), standing(record, ledger)
        if csv is not None:
            _write(csv, partial(report.write_csv, read, run=record.run, encoding="utf-8-sig" if excel else "utf-8"))
        elif jsonl is not None:
            _write(jsonl, partial(report.write_jsonl, read, run=record.run))
        elif as_json:
            for one in read():
                typer.echo(report.line(one, run=record.run))
        else:
            _show(record, islice(read(), limit + 1), limit=limit, ended=not more)
        if more:  # what is read by a program stays what it was
            shown = csv is None and jsonl is None and not as_json
            (out if shown else err).print(more, markup=False)


def _write(path: Path, write: Callable[[Path], int]) -> None:
    """Write the file, or what would be in it to standard output."""
    if str(path) != _STDOUT:
        out.print(f"{quantity(write(path), 'row')} in {path}", markup=False)
        return
    with tempfile.TemporaryDirectory(prefix="halocline-errors-") as folder:  # a file appears whole or not at all: here too
        copy = Path(folder) / "errors"
        write(copy)
        with copy.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.flush()


def _show(record: RunRecord, rejections: Iterable[Rejection], *, limit: int, ended: bool) -> None:
    from rich.table import Table

    run, found = record.run, list(rejections)
    if not found:
        out.print(_none(record, so_far="" if ended else " so far"), markup=False, soft_wrap=True)
        return
    table = Table("row", "code", "message", "fields", box=None, pad_edge=False)
    for one in found[:limit]:
        message = one.message if len(one.message) <= _SHOWN else f"{one.message[: _SHOWN - 3]}..."
        table.add_row(str(one.row), *(cell(text) for text in (one.code, " ".join(message.split()), ", ".join(one.fields))))
    out.print(table)
    if len(found) > limit:
        out.print(f"... and more; `halocline errors {run[:8]} --csv FILE` writes them all.", markup=False)


def _none(record: RunRecord, *, so_far: str) -> str:
    """That no row can be shown; of a run that ended without its folder nobody knows which are in doubt."""
    run, doubts = record.run[:8], record.counts.in_doubt
    if not doubts:
        return f"Run {run} has no row that was refused, not sent or in doubt{so_far}."
    return (
        f"Run {run} has {quantity(doubts, 'row')} in doubt, of which no more is known: {record.error or 'no reason was booked'}."
    )
