"""The decision: from what the source says of itself to how its rows will travel, with the reasons. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from halocline import registry
from halocline.connector import Abilities, Deletes, Mode, Plan, Survey
from halocline.errors import FixConfig
from halocline.mapping.near import near
from halocline.quantity import quantity
from halocline.versions import refuse_taken_names

BULK_API_THRESHOLD = 1_000  # rows; from here on Bulk API 2.0 (the documented decision table)
STAGE_THRESHOLD = 50_000  # rows; from here on result pages land in files before one load (the same table)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Row counts from which the next larger way is taken.

    Raises: FixConfig when `bulk` is above `stage`, or one is negative or no number.
    """

    bulk: int = BULK_API_THRESHOLD
    stage: int = STAGE_THRESHOLD

    def __post_init__(self) -> None:
        for name, rows in (("BULK_API_THRESHOLD", self.bulk), ("STAGE_THRESHOLD", self.stage)):
            if isinstance(rows, bool) or not isinstance(rows, Real) or math.isnan(rows):
                hint = "Give a number from 0 up; float('inf') for never."
                raise FixConfig("Reading the thresholds", f"{name}={rows!r} is no number of rows", hint=hint)
        if self.bulk < 0 or self.stage < 0:
            raise FixConfig("Reading the thresholds", "a threshold is negative", hint="Both count rows, from 0 up.")
        if self.bulk > self.stage:
            raise FixConfig(
                "Reading the thresholds",
                f"BULK_API_THRESHOLD ({self.bulk:,}) is above STAGE_THRESHOLD ({self.stage:,})",
                hint="Set the first to at most the second.",
            )


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asks of a run, whatever the source will say.

    `use_stage` means stage at any size; `stage_name` names a remote stage; `force_full` reads everything and replaces.
    `max_delete_share` is the share of a table's rows (0 to 1) that one run may delete without `force_full`. `history` keeps every
    version of a row.
    """

    flow: str
    key: tuple[str, ...] = ("Id",)
    use_stage: bool = False
    stage_name: str | None = None
    force_full: bool = False
    deletes: Deletes = Deletes.SOFT
    allow_empty: bool = False
    max_delete_share: float = 0.5
    thresholds: Thresholds = Thresholds()
    history: bool = False


def decide(survey: Survey, destination: Abilities, *, wish: Wish) -> Plan:
    """Choose method and mode for what `survey` found; the reasons read as sentences.

    Raises: FixConfig when the key is not among the source's columns, or history is asked for where it cannot be kept.
    """
    if wish.history:
        _refuse_history(survey, destination)
    full, why_full = _extent(survey, wish)
    way, why_way = _way(survey, wish)
    deletes, why_deletes = _deletes(survey, wish)
    merged = wish.history or bool(survey.refresh) or _stays(survey, wish, deletes)
    why = (*why_full, *_absent_notes(survey, wish, deletes), *why_way)
    notes = (*_stage_notes(way, destination, wish), *why_deletes, *_history_notes(survey, wish, full=full), *survey.notes)
    return Plan(
        flow=wish.flow,
        object=survey.object,
        method=f"{_METHOD[way]}_{'full' if full else 'incremental'}",
        reasons=(*why, *notes),
        query=survey.query,
        window=survey.window,
        next_position=survey.next_position,
        mode=Mode.REPLACE if full and not merged else Mode.MERGE,
        key=_key(survey, wish),
        schema=survey.schema,
        cursor=survey.cursor,
        deletes=deletes,
        delete_flag=survey.delete_flag,
        expected_rows=survey.estimated_rows,
        allow_empty=wish.allow_empty or wish.force_full,
        allow_replace=wish.force_full,
        max_delete_share=wish.max_delete_share,
        once=survey.abilities.once and way != "rest",
        stage_name=wish.stage_name if destination.stage else None,
        history=wish.history,
        complete=full and (wish.history or _stays(survey, wish, deletes)),
        conditional=survey.conditional,
    )


_METHOD = {"rest": "regular_api", "bulk": "bulk_api", "stage": "bulk_api_stage"}


def _extent(survey: Survey, wish: Wish) -> tuple[bool, tuple[str, ...]]:
    if wish.force_full:
        what = "merged" if wish.history else "the table replaced"
        return True, (f"A full sync was asked for: everything is read and {what}.",)
    if survey.full_reason:
        return True, (f"Everything is read: {survey.full_reason}.",)
    if survey.refresh:
        return True, (f"Everything is read and merged: {survey.refresh}; rows that did not change stay untouched.",)
    low, high = survey.window
    if low is None:
        first = "First sync: no position is known for this flow"
        return True, (f"{'The table has no rows' if survey.emptied else first}, so everything is read.",)
    if survey.cursor is None:
        return False, (f"Later sync: only what changed after {low} is read.",)
    return False, (f"Later sync: only rows with {survey.cursor} from {low} up to (not including) {high} are read.",)


def _stays(survey: Survey, wish: Wish, deletes: Deletes) -> bool:
    """Whether rows that are gone at the source stay although everything is read: deletes promise it, and nobody asked to."""
    return survey.same_question and bool(survey.full_reason) and not wish.force_full and deletes is not Deletes.HARD


def _absent_notes(survey: Survey, wish: Wish, deletes: Deletes) -> tuple[str, ...]:
    """What becomes of rows that the source no longer has, where their deletes would have them stay."""
    if not survey.full_reason or wish.force_full or wish.history or deletes is Deletes.HARD:
        return ()
    if not _stays(survey, wish, deletes):
        return ("The table is replaced, and rows that the source no longer has go.",)
    how = "flagged as deleted" if deletes is Deletes.SOFT else "as they are"
    return (f"What is read is merged; rows that the source no longer has stay, {how}.",)


def _way(survey: Survey, wish: Wish) -> tuple[str, tuple[str, ...]]:
    rows, abilities = survey.estimated_rows, survey.abilities
    way, reason = _by_volume(rows, wish)
    if way != "rest" and not abilities.bulk:
        return "rest", (reason, f"Bulk is not possible here ({abilities.bulk_reason}), so REST is used.")
    if way == "rest" and 0 < abilities.max_query_bytes < survey.query_bytes:
        too_wide = f"The query takes {survey.query_bytes:,} bytes in a URI; REST allows {abilities.max_query_bytes:,}"
        if abilities.bulk:
            return "bulk", (reason, f"{too_wide}, so Bulk is used.")
        return "rest", (reason, f"{too_wide}, so its columns are split over several queries, or it goes in a request's body.")
    return way, (reason,)


def _by_volume(rows: int, wish: Wish) -> tuple[str, str]:
    limits, about = wish.thresholds, f"About {quantity(rows, 'row')}"
    if wish.use_stage:
        return "stage", f"{about}; use_stage asks for a stage at any size."
    if rows < limits.bulk:
        return "rest", f"{about}, fewer than {limits.bulk:,}: the regular API is quickest."
    if rows < limits.stage:
        return "bulk", f"{about}, from {limits.bulk:,} and below {limits.stage:,}: Bulk API 2.0."
    return "stage", f"{about}, {limits.stage:,} or more: Bulk API 2.0, result pages staged in files before one load."


def _deletes(survey: Survey, wish: Wish) -> tuple[Deletes, tuple[str, ...]]:
    if wish.deletes is Deletes.SOFT and survey.delete_flag is None:
        return Deletes.HARD, (
            f"{survey.object} flags no deleted records, so the rows of those that are known to be deleted are removed.",
        )
    return wish.deletes, ()


def _stage_notes(way: str, destination: Abilities, wish: Wish) -> tuple[str, ...]:
    if wish.stage_name is None or destination.stage:
        return ()
    where = "the result pages are staged in local files" if way == "stage" else "nothing is staged"
    return (f"stage_name {wish.stage_name!r} is ignored: this destination has no stages; {where}.",)


def _history_notes(survey: Survey, wish: Wish, *, full: bool) -> tuple[str, ...]:
    if not wish.history:
        return ()
    gone = ""
    if full and wish.deletes is not Deletes.IGNORE:
        why = "are of records that are gone or no longer meet the condition" if survey.conditional else "are gone"
        gone = f" Current rows that the read lacks {why}, and their versions end."
    return (f"History is kept: a row that changes or goes ends its version, and nothing is replaced.{gone}",)


def _refuse_history(survey: Survey, destination: Abilities) -> None:
    refuse_taken_names(survey.schema, survey.object)
    if not destination.history:
        able = " and ".join(about.title for about in registry.abouts("open_destination") if about.history)
        hint = f"{able} can; or sync without history."
        raise FixConfig(f"Planning the sync of {survey.object}", "this destination cannot keep history", hint=hint)


def _key(survey: Survey, wish: Wish) -> tuple[str, ...]:
    found = [survey.schema.column(name) for name in wish.key]
    missing = [name for name, column in zip(wish.key, found, strict=True) if column is None]
    if missing:
        meant = near(missing[0], survey.schema.names)
        told = f"Did you mean {' or '.join(meant)}? " if meant else ""
        raise FixConfig(
            f"Planning the sync of {survey.object}",
            f"the key {', '.join(missing)} is not among the columns read",
            hint=f"{told}Choose a field of the object that is unique and never empty, such as Id.",
        )
    return tuple(column.name for column in found if column is not None)
