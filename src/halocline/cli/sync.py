"""`halocline sync`: Salesforce objects into tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import typer

from halocline.cli import options
from halocline.cli.answer import err, error_json, out, say_error, say_json, unforeseen
from halocline.cli.jobs import Asked, tell_each
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.run import Run
    from halocline.several import Ended
    from halocline.sync import SobjectSync


def sync(
    objects: options.Objects = None,
    *,
    to: options.To,
    everything: options.Everything = False,
    exclude_object: options.ExcludeObject = None,
    parallel: options.Parallel = 4,
    schema: options.Schema = None,
    table: options.Table = None,
    key: options.Key = "Id",
    full: options.Full = False,
    where: options.Where = None,
    soql: options.Soql = None,
    fields: options.Fields = None,
    exclude: options.Exclude = None,
    rename: options.Rename = None,
    mask: options.Mask = None,
    contract: options.Contract = "evolve",
    deletes: options.Deletes = "soft",
    history: options.History = False,
    lookback: options.Lookback = None,
    formula_refresh: options.FormulaRefresh = "never",
    numbers: options.Numbers = "decimal",
    use_stage: options.UseStage = False,
    stage_name: options.StageName = None,
    bulk_threshold: options.BulkThreshold = None,
    stage_threshold: options.StageThreshold = None,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    wait: options.Wait = 0.0,
    allow_empty: options.AllowEmpty = False,
    max_delete_share: options.MaxDeleteShare = 0.5,
    as_json: options.Json = False,
) -> None:
    """Carry objects into tables: all of it at first, then only what changed.

    Objects are names or patterns ('Acc*' '*__c'), each into a table of its own, several at a time.
    The login comes from the environment: SF_LOGIN_URL with SF_CLIENT_ID and SF_CLIENT_SECRET (client credentials), or
    SF_USERNAME with SF_PRIVATE_KEY_PATH (JWT), or SF_REFRESH_TOKEN, or SF_ACCESS_TOKEN with SF_INSTANCE_URL.
    """
    asked = Asked.of(locals())
    with asked.opened() as (system, bar):
        jobs = asked.jobs(system)
        ended = system.run_all(jobs, parallel=parallel, watch=bar.watch if len(jobs) > 1 else None)
        code, relations = tell_each(ended, jobs, tell=partial(tell, as_json=as_json))
        for line in () if as_json else relations:
            err.print(line, markup=False)
    raise typer.Exit(code)


def tell(ended: Ended, related: Mapping[str, object], *, as_json: bool, flow: str = "") -> int:
    """Say how one object of a `flow` went; the exit code that it deserves. `related` are further keys of the JSON answer."""
    from halocline.sync import answer

    job, run = ended.job, ended.run
    if ended.error is not None:
        error = unforeseen(ended.error)
        if as_json:
            say_json({**answer(job, run, error=error), **error_json(error), **related})
        else:
            say_error(error, as_json=False, about=flow)
        return error.exit_code
    if as_json:
        say_json({**answer(job, run, error=None), **_details(run), **related, "exit_code": 0})
    else:
        out.print(f"{f'{flow}: ' if flow else ''}{_sentence(job, run)}", markup=False)
    return 0


def _details(run: Run) -> dict[str, object]:
    counts = run.counts.to_json() if run.counts else {}
    reasons = list(run.plan.reasons) if run.plan else []
    told = {"run": run.id, "rows_read": run.rows_read, "counts": counts, "api_calls": run.api_calls}
    return {**told, "elapsed_seconds": round(run.elapsed_s, 3), "reasons": reasons}


def _sentence(job: SobjectSync, run: Run) -> str:
    counts, plan = run.counts, run.plan
    assert counts is not None, "a run that ended well has counts"
    assert plan is not None, "and a plan"
    gone = counts.deleted + counts.vanished
    did = f"{counts.inserted:,} inserted, {counts.updated:,} updated, {gone:,} deleted, {counts.unchanged:,} unchanged"
    return f"{job.sobject} -> {job.target}: {plan.method}, {did}, {quantity(run.api_calls, 'API call')}, {run.elapsed_s:.1f} s"
