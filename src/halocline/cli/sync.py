"""`halocline sync`: Salesforce objects into tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from halocline.cli import options
from halocline.cli.answer import err, error_json, out, say_error, say_json, told
from halocline.cli.jobs import Asked, relation_lines
from halocline.cli.system import intelligent_sync, worst
from halocline.errors import HaloclineError
from halocline.place import schema_in
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.run import Run
    from halocline.several import Ended
    from halocline.sync import IntelligentSync, SobjectSync


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
    from halocline.cli.progress import ProgressBar

    asked = Asked(
        objects=objects or [],
        everything=everything,
        exclude_objects=exclude_object or [],
        schema=schema_in(to, schema),
        table=table,
        soql=soql,
        fields=options.listed(fields),
        exclude=options.listed(exclude) or (),
        rename=rename or [],
        mask=mask or [],
        each={
            "match_field": key,
            "use_stage": use_stage,
            "stage_name": stage_name,
            "force_full_sync": full,
            "where_clause": where,
            "deletes": deletes,
            "history": history,
            "numbers": numbers,
            "lookback_s": lookback,
            "formula_refresh": formula_refresh,
            "contract": contract,
            "allow_empty": allow_empty,
            "max_delete_share": max_delete_share,
        },
    )
    asked.check()
    given: dict[str, Any] = {"bulk_threshold": bulk_threshold, "stage_threshold": stage_threshold}
    limits: dict[str, Any] = {"quota_share": quota_share, "api_budget": api_budget, "wait_s": wait}
    with (
        told(as_json=as_json),
        ProgressBar(err, quiet=as_json) as bar,
        intelligent_sync(to, bar.sink, **given, **limits) as system,
    ):
        code = _all(system, asked.jobs(system, as_json=as_json), bar, parallel=parallel, as_json=as_json)
    raise typer.Exit(code)


def _all(system: IntelligentSync, jobs: list[SobjectSync], bar: ProgressBar, *, parallel: int, as_json: bool) -> int:
    """Sync the objects and say how each went; the exit code that all of them deserve."""
    from halocline.several import relations

    among = [job.sobject for job in jobs]
    codes, related = [], []
    for ended in system.run_all(jobs, parallel=parallel, watch=bar.watch if len(jobs) > 1 else None):
        found = relations(ended.run.survey, among)
        related.append((ended.job.sobject, found))
        codes.append(tell(ended, found, as_json=as_json))
    if len(jobs) > 1 and not as_json:
        for line in relation_lines(related):
            err.print(line, markup=False)
    return worst(codes)


def tell(ended: Ended, related: Mapping[str, object], *, as_json: bool, flow: str = "") -> int:
    """Say how one object of a `flow` went; the exit code that it deserves. `related` are further keys of the JSON answer.

    Raises: an error that is none of ours, which is a defect.
    """
    from halocline.sync import answer

    job, run, error = ended.job, ended.run, ended.error
    if error is not None:
        if not isinstance(error, HaloclineError):
            raise error
        if as_json:
            say_json({**answer(job, run, error=error), **error_json(error)})
        else:
            say_error(error, as_json=False)
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
