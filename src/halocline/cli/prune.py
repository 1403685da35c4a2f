"""`halocline runs prune`: what the ledger need not keep any longer is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, refuse, say_json, told
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Pruned

_SHOWN = 10
_KB = 1_000
_WHY = {
    "overtaking": "came after one that is open, which has to know of it",
    "repeats": "keeps a file or an event that is delivered again from being handled twice, for 30 days",
    "named": "is named by one that stays",
    "failed": "did not end well",
}


def prune(
    *,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Runs that ended longer ago: 90d, 12w (HALOCLINE_LEDGER_KEEP)."),
    ] = None,
    keep_failed: Annotated[bool, typer.Option("--keep-failed", help="Keep runs that did not end as done, however old.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; nothing is changed.")] = False,
    as_json: options.Json = False,
) -> None:
    """Forget old runs, with their plans and the rows that they refused, and make the ledger's file smaller.

    What is still wanted stays, however old: runs of which something is left to do, and what those ask for.
    """
    from halocline.config import Settings, age
    from halocline.ledger import open_ledger

    with told(as_json=as_json):
        settings = Settings.from_env()
        kept_s = settings.keep_s if older_than is None else age(older_than, "--older-than")
        if kept_s is None:
            refuse("say how old: --older-than 90d, or set HALOCLINE_LEDGER_KEEP.")
        with open_ledger(settings.ledger) as ledger:
            found = ledger.prune(older_than_s=kept_s, keep_failed=keep_failed, dry_run=dry_run)
    assert found is not None, "it is done however lately it was done before"
    if as_json:
        say_json({**found.to_json(), "dry_run": dry_run, "exit_code": 0})
    else:
        _say(found, dry_run=dry_run)


def _say(found: Pruned, *, dry_run: bool) -> None:
    did = "would be forgotten" if dry_run else "forgotten"
    rows = quantity(found.rows, "row")
    out.print(f"{quantity(len(found.runs), 'run')} {did}, with {rows} refused or in doubt.{_shrunk(found)}", markup=False)
    for reason, count in found.kept.items():
        if reason in _WHY:
            out.print(f"{quantity(count, 'run stays')}: {_WHY[reason]}.", markup=False)
    if found.left:
        names = ", ".join(run[:8] for run in found.left[:_SHOWN])
        more = f" and {len(found.left) - _SHOWN:,} more" if len(found.left) > _SHOWN else ""
        told = f"{quantity(len(found.left), 'old run stays')}, open: {names}{more}."
        err.print(f"{told} The next run of the flow, or `halocline resume`, ends what is open.", markup=False)


def _shrunk(found: Pruned) -> str:
    if found.bytes_before is None or found.bytes_after is None:
        return ""
    return f" The ledger's file has {found.bytes_after // _KB:,} kB, it had {found.bytes_before // _KB:,}."
