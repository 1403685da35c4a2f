"""Guards: what a destination of tables refuses to publish, by numbers that every one of them knows, and in the same words."""

from __future__ import annotations

from halocline.connector import Deletes, Plan, Survey, Target
from halocline.errors import FixConfig, Refused, SchemaConflict, Stop
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.schema import Schema

OWN_NAMES = "_halocline_"  # begin the columns that loads need beside those of the rows, while they stage and compare them
SMALL_DELETE_ROWS = 1_000  # up to here no share of the table counts as a mass delete
_HIDE = (
    "Choose another table; or, where those values may be seen, or are masked already, accept them by a full sync (--full, "
    "force_full_sync=True)."
)
_LOOK = "Look whether the login may still see these records"


def refuse_own_names(target: Target, schema: Schema) -> None:
    """Hold the columns that are to be loaded against those that loads need for themselves, whatever the destination.

    Raises: FixConfig when one of them is called as ours are.
    """
    ours = [column.name for column in schema if column.name.lower().startswith(OWN_NAMES)]
    if ours:
        cause = f"{', '.join(ours)}: names that begin with {OWN_NAMES} are kept for loads themselves"
        hint = "Leave the column out (exclude), or read it under another name (rename, or a query)."
        raise FixConfig(f"Planning a load into {target}", cause, hint=hint)


def refuse_exposed(there: Schema | None, survey: Survey, *, plan: Plan) -> None:
    """Hold columns that are masked, and that the last read did not have, against those of the table that is `there`.

    An earlier read may have brought their values in the plain. Under its own name a column's masked values take their place, but
    not in versions that have ended.
    Raises: SchemaConflict where values of before would stay.
    """
    for name, own in survey.masked_anew.items():
        old = own.replace(".", "_")
        if there is not None and there.column(old) is not None and plan.schema.column(old) is None:
            told = f"{own} is to be masked and called {name}, and the column {old} of the table would keep its values"
        elif there is not None and there.column(name) is not None and plan.history:
            told = f"{own} is to be masked, and the table's versions that have ended would keep what its column {name} has"
        else:
            continue
        raise SchemaConflict(
            f"Masking columns of {plan.object}", f"{told}; the last sync did not read it", hint=_HIDE, column=own
        )


def refuse_imbalance(target: Target, counts: Counts, *, staged: int) -> None:
    """Hold what is told of a commit against what was staged.

    Raises: Stop when they differ, or a count that is a remainder is below zero.
    """
    if counts.accounted != staged or min(counts.inserted, counts.updated, counts.deleted, counts.unchanged) < 0:
        cause = f"{quantity(staged, 'row was')} staged, {counts.accounted:,} are accounted for ({counts})"
        raise Stop(f"Publishing into {target}", cause, hint="Nothing was published; report this defect.")


def refuse_loss(label: str, plan: Plan, *, old: int, new: int) -> None:
    """Hold the live rows of a full load against those of the table that it replaces, or is merged into.

    An answer without rows, or with far fewer than the table has, is more often a lost right than a true deletion. What a merge
    lacks is not lost where deletes are ignored, and heaps up in the table.
    Raises: Refused when it is empty, or lacks more than the plan's share, and the plan does not allow that.
    """
    doing = "Merging all into" if plan.complete else "Replacing"
    if new == 0 and old > 0 and not plan.allow_empty:
        hint = f"{_LOOK}; if the object is truly empty, allow it (--allow-empty, allow_empty=True)."
        raise Refused(f"{doing} {label}", f"the answer has no rows, and the table has {old:,}", hint=hint, rows=old)
    lost = 0 if plan.complete and plan.deletes is Deletes.IGNORE else old - new
    if lost > SMALL_DELETE_ROWS and lost > plan.max_delete_share * old and not (plan.allow_replace or plan.allow_empty):
        share = f"more than the share of {plan.max_delete_share:.0%} would go"
        cause = f"the answer has {quantity(new, 'row')}, and the table {old:,}: {share}"
        outcome = "closes their versions" if plan.history else "replaces the table"
        way = f"a full sync (--full, force_full_sync=True) {outcome}"
        if plan.complete and not plan.history:
            way = "--max-delete-share 1 (max_delete_share=1.0) flags them, and keeps them"
        hint = f"{_LOOK}; if they are truly gone, {way}."
        raise Refused(f"{doing} {label}", cause, hint=hint, rows=old)


def refuse_rejections(label: str, plan: Plan, *, rejected: int, read: int) -> None:
    """Hold what was refused of what was read against what the plan allows.

    Raises: Refused when it is more.
    """
    allowed = plan.max_rejected if isinstance(plan.max_rejected, int) else plan.max_rejected * read
    if rejected > allowed:
        most = f"{plan.max_rejected:,}" if isinstance(plan.max_rejected, int) else f"{plan.max_rejected:.0%}"
        cause = f"{rejected:,} of {read:,} that were read could not become rows, more than the {most} allowed"
        hint = "`halocline errors last` tells each with its reason; if they may be left out, raise max_rejected."
        raise Refused(f"Loading {label}", cause, hint=hint, rejected=rejected, read=read)


def refuse_mass_delete(label: str, plan: Plan, *, deletions: int, there: int) -> None:
    """Hold a merge's deletions against the rows that the table had before.

    Raises: Refused when more than the plan's share would go.
    """
    if deletions > SMALL_DELETE_ROWS and deletions > plan.max_delete_share * there:
        cause = (
            f"{deletions:,} of its {quantity(there, 'row')} would go, more than the share of {plan.max_delete_share:.0%} allowed"
        )
        hint = f"{_LOOK}; if they are truly deleted, raise max_delete_share (--max-delete-share)."
        raise Refused(f"Merging into {label}", cause, hint=hint, deletions=deletions, rows=there)


def refuse_emptied(label: str, plan: Plan, *, removed: int, left: int) -> None:
    """Hold what a merge would leave against deletions that were concluded: those that the source itself told may empty a table.

    Raises: Refused when no row would be left, and the plan does not allow that.
    """
    if plan.concluded and removed and not left and not plan.allow_empty:
        all_of_it = "its only row" if removed == 1 else f"all of its {removed:,} rows"
        cause = f"{all_of_it} would go, for of none of what was read a row is built any more"
        hint = (
            "Look at the builder and at its items; if the table is to be empty, allow it (`allow_empty: true`, allow_empty=True)."
        )
        raise Refused(f"Merging into {label}", cause, hint=hint, deletions=removed, rows=removed)


def refuse_unmarkable(label: str, plan: Plan, *, deletions: int) -> None:
    """Hold deletions that are to be marked against a plan without a column for it.

    Raises: FixConfig when there are some, and nothing could mark them.
    """
    if deletions and not plan.flag_columns:
        cause = f"{quantity(deletions, 'record was')} deleted, and {plan.object} has no column that could mark them"
        raise FixConfig(f"Merging into {label}", cause, hint='Choose deletes="hard" or deletes="ignore".')


def strange_table(label: str, plan: Plan) -> Refused:
    """The error for a full load over rows that its flow never filled."""
    cause = f"the table has rows, and the flow {plan.flow} has never filled it"
    outcome = "merge into its history" if plan.history else "replace its rows"
    hint = f"Name another table, or {outcome} (--full, force_full_sync=True; for a flow's table `adopt: true`)."
    return Refused(f"Opening a load into {label}", cause, hint=hint)
