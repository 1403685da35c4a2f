"""`halocline sync`: Salesforce objects into tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, refuse, say_error, say_json, told
from halocline.cli.quantity import quantity
from halocline.cli.system import intelligent_sync, worst
from halocline.errors import HaloclineError

if TYPE_CHECKING:
    from halocline.run import Run
    from halocline.sync import IntelligentSync, SobjectSync


def sync(
    objects: Annotated[list[str], typer.Argument(metavar="OBJECT...", help="API names: Account Contact My_Thing__c")],
    to: options.To,
    *,
    schema: options.Schema = None,
    table: Annotated[str | None, typer.Option(help="The table, where it is not named like the object.")] = None,
    key: options.Key = "Id",
    full: options.Full = False,
    where: options.Where = None,
    fields: options.Fields = None,
    exclude: options.Exclude = None,
    deletes: options.Deletes = "soft",
    numbers: options.Numbers = "decimal",
    use_stage: options.UseStage = False,
    bulk_threshold: options.BulkThreshold = None,
    stage_threshold: options.StageThreshold = None,
    quota_share: options.QuotaShare = None,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Let an empty answer empty the table.")] = False,
    as_json: options.Json = False,
) -> None:
    """Carry objects into tables: all of it at first, then only what changed.

    The login comes from the environment: SF_LOGIN_URL with SF_CLIENT_ID and SF_CLIENT_SECRET (client credentials), or
    SF_USERNAME with SF_PRIVATE_KEY_PATH (JWT), or SF_REFRESH_TOKEN, or SF_ACCESS_TOKEN with SF_INSTANCE_URL.
    """
    if table is not None and len(objects) > 1:
        refuse("--table names one table; leave it out to sync several objects.")
    from halocline.cli.progress import ProgressBar
    from halocline.sync import SobjectSync

    jobs = [
        SobjectSync(
            name,
            options.schema_in(to, schema),
            table or name,
            match_field=key,
            use_stage=use_stage,
            force_full_sync=full,
            where_clause=where,
            fields=options.listed(fields),
            exclude=options.listed(exclude) or (),
            deletes=deletes,
            numbers=numbers,
            allow_empty=allow_empty,
        )
        for name in objects
    ]
    given: dict[str, Any] = {"bulk_threshold": bulk_threshold, "stage_threshold": stage_threshold, "quota_share": quota_share}
    with told(as_json=as_json), ProgressBar(err, quiet=as_json) as bar, intelligent_sync(to, bar.sink, **given) as system:
        codes = [_one(system, job, as_json=as_json) for job in jobs]
    raise typer.Exit(worst(codes))


def _one(system: IntelligentSync, job: SobjectSync, *, as_json: bool) -> int:
    """Sync one object and say how it went; the exit code that this one deserves."""
    from halocline.run import Run
    from halocline.sync import answer

    run = Run.new()
    try:
        system.run(job, run)
    except HaloclineError as error:
        if as_json:
            say_json({**answer(job, run, error=error), "exit_code": error.exit_code})
        else:
            say_error(error, as_json=False)
        return error.exit_code
    if as_json:
        say_json({**answer(job, run, error=None), **_details(run), "exit_code": 0})
    else:
        out.print(_sentence(job, run), markup=False)
    return 0


def _details(run: Run) -> dict[str, object]:
    counts = run.counts.to_json() if run.counts else {}
    reasons = list(run.plan.reasons) if run.plan else []
    return {"run": run.id, "rows_read": run.rows_read, "counts": counts, "api_calls": run.api_calls, "reasons": reasons}


def _sentence(job: SobjectSync, run: Run) -> str:
    counts, plan = run.counts, run.plan
    assert counts is not None, "a run that ended well has counts"
    assert plan is not None, "and a plan"
    did = f"{counts.inserted:,} inserted, {counts.updated:,} updated, {counts.deleted:,} deleted, {counts.unchanged:,} unchanged"
    return f"{job.sobject} -> {job.target}: {plan.method}, {did}, {quantity(run.api_calls, 'API call')}, {run.elapsed_s:.1f} s"
