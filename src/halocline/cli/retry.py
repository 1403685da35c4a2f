"""`halocline retry`: the rows of a push that were refused or not sent, once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, say_error, say_json, told
from halocline.cli.pushed import resumable, say, tables_untold
from halocline.cli.system import pushing, the_rows
from halocline.errors import Stopped
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.outcome import RunRecord

InDoubt = Annotated[bool, typer.Option("--in-doubt", help="Also rows in doubt; one that was written after all comes twice.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Send although a later run may have written newer values.")]


def retry(
    run: options.Run,
    *,
    in_doubt: InDoubt = False,
    anyway: Anyway = False,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    as_json: options.Json = False,
) -> None:
    """Send the rows of a push again that were refused or not sent, as they were; it is a new run.

    Mend in Salesforce what refused them, then retry. Rows that are wrong themselves are mended in the source and pushed again.
    """
    from halocline.cli.progress import ProgressBar
    from halocline.push import retry as library

    with (
        told(as_json=as_json),
        ProgressBar(err, quiet=as_json) as bar,
        pushing(bar.sink, quota_share=quota_share, api_budget=api_budget) as here,
        resumable(bar),
    ):
        record = the_rows(here.ledger, run)
        try:
            done = library.retry(
                record.run,
                destination=here.destination,
                ledger=here.ledger,
                home=here.home,
                sink=bar.sink,
                in_doubt=in_doubt,
                anyway=anyway,
            )
            name = None if done is None else done.id
        except Stopped as stopped:
            say_error(stopped, as_json=False)
            name = str(stopped.facts["run"])
        if name is None:
            code = _nothing(record, as_json=as_json)
        else:
            code = say(here.ledger, name, as_json=as_json, notices=tables_untold(here.ledger, name, as_json=as_json))
    raise typer.Exit(code)


def _nothing(record: RunRecord, *, as_json: bool) -> int:
    doubts = record.counts.in_doubt
    if as_json:
        say_json({"retry_of": record.run, "total": 0, "in_doubt": doubts, "success": True, "exit_code": 0})
        return 0
    out.print(f"Run {record.run[:8]} has no row that was refused or not sent.", markup=False)
    if doubts:
        are, they, them = ("is", "it is", "it") if doubts == 1 else ("are", "they are", "them")
        look = f"look in Salesforce whether {they} there; --in-doubt sends {them} again."
        out.print(f"{quantity(doubts, 'row')} {are} in doubt: {look}", markup=False)
    return 0
