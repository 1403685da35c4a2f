"""`halocline verify`: an object and its table compared, and set right on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from halocline.cli import options
from halocline.cli.answer import error_json, out, say_error, say_json
from halocline.cli.jobs import Asked
from halocline.cli.system import worst
from halocline.errors import HaloclineError
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.sync import IntelligentSync, SobjectSync
    from halocline.verifying.verification import Verification

DIFFERENT = 3  # the exit code for sides that differ
_KINDS = {
    "missing": "missing from the table",
    "extra": "only in the table",
    "stale": "with another stamp or flag",
    "different": "with other values",
    "doubled": "with a key that comes twice, or none",
}


def verify(
    objects: options.Objects = None,
    *,
    to: options.To,
    sample: Annotated[int, typer.Option(metavar="N", help="Compare the values of N rows besides, chosen by chance.", min=0)] = 0,
    full: Annotated[bool, typer.Option("--full", help="Compare all values of all rows.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Set right what differs.")] = False,
    everything: options.Everything = False,
    exclude_object: options.ExcludeObject = None,
    schema: options.Schema = None,
    table: options.Table = None,
    key: options.Key = "Id",
    where: options.Where = None,
    soql: options.Soql = None,
    fields: options.Fields = None,
    exclude: options.Exclude = None,
    rename: options.Rename = None,
    mask: options.Mask = None,
    contract: options.Contract = "evolve",
    deletes: options.Deletes = "soft",
    history: options.History = False,
    numbers: options.Numbers = "decimal",
    allow_empty: options.AllowEmpty = False,
    max_delete_share: options.MaxDeleteShare = 0.5,
    bulk_threshold: options.BulkThreshold = None,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    wait: options.Wait = 0.0,
    as_json: options.Json = False,
) -> None:
    """Compare objects with their tables: ids and stamps of all rows, and values on request. Give the options of their sync.

    Exit code 0: they are the same, or all that differed was repaired; 3: they differ. Rows that changed after the last sync are
    the next one's, and left out.
    """
    asked = Asked.of({**locals(), "full": False})  # here it means all values; nothing is read for a table to be replaced
    how = {"sample": sample, "full": full, "repair": repair}
    with asked.opened() as (system, bar):
        codes = [_one(system, job, how, bar, as_json=as_json) for job in asked.jobs(system)]
    raise typer.Exit(worst(codes))


def _one(system: IntelligentSync, job: SobjectSync, how: dict[str, Any], bar: ProgressBar, *, as_json: bool) -> int:
    """Verify one object and say what came of it; the exit code that it deserves."""
    from halocline.verify import verify_with

    try:
        found = verify_with(system, job, **how, sink=bar.sink)
    except HaloclineError as error:
        if as_json:
            say_json({"object": job.sobject, "sobject": job.sobject, "target": str(job.target), **error_json(error)})
        else:
            say_error(error, as_json=False)
        return error.exit_code
    code = 0 if found.good else DIFFERENT
    if as_json:
        say_json({**found.to_json(), "success": code == 0, "exit_code": code})
    else:
        _show(found, job)
    return code


def _show(found: Verification, job: SobjectSync) -> None:
    speed = f"{quantity(found.api_calls, 'API call')}, {found.elapsed_s:.1f} s, {found.rows_per_s:,.0f} rows/s"
    sides = f"{quantity(found.source_rows, 'row')} in {found.object}, {found.table_rows:,} in {found.target}"
    looked = f", the values of {found.looked_at:,} looked at" if found.looked_at else ""
    verdict = "the same" if found.equal else quantity(found.differences, "row differs")
    out.print(f"{found.object} -> {found.target}: {verdict}", markup=False)
    out.print(f"  {sides}; {found.compared:,} compared{looked}; {speed}", markup=False)
    for kind, words in _KINDS.items():
        if count := getattr(found, kind):
            some = ", ".join(str(key) for key in found.examples.get(kind, ()))
            out.print(f"  {count:,} {words}: {some}{', ...' if count > len(found.examples.get(kind, ())) else ''}", markup=False)
    if found.columns:
        out.print(f"  in the columns {', '.join(f'{name} ({count:,})' for name, count in found.columns.items())}", markup=False)
    for note in found.notes:
        out.print(f"  {note}", markup=False)
    if found.repair:
        counts = found.repair.counts
        gone = counts.deleted + counts.vanished
        did = f"{counts.inserted:,} inserted, {counts.updated:,} updated, {gone:,} deleted, {counts.unchanged:,} unchanged"
        left = f"; {found.repair.left:,} had changed or gone meanwhile: run it again" if found.repair.left else ""
        out.print(f"  repaired by run {found.repair.run[:8]}: {did}{left}", markup=False)
    elif not found.equal:
        out.print(f"  nothing was changed{_mendable(found, job)}", markup=False)


def _mendable(found: Verification, job: SobjectSync) -> str:
    """What would set it right; rows that share a key a repair leaves, so where one was asked for, there is nothing else here. By
    a key that is masked nothing can be asked for again.
    """
    is_hidden = job.match_field.lower() in {name.lower() for name in job.mask}
    what = "the next sync, which reads everything," if found.due_in_full else "`sync --full`" if is_hidden else "--repair"
    if not found.doubled:
        return f"; {what} sets it right"
    return f"; {what} sets the others right" if found.doubled < found.differences else ""
