"""Laws of the decision: which method, which mode, and that the reasons say why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from halocline.connector import Abilities, Deletes, Mode, Plan, Survey
from halocline.errors import FixConfig
from halocline.plan import Thresholds, Wish, decide
from halocline.schema import Column, Kind, Schema

SCHEMA = Schema((Column("Id", Kind.STRING), Column("Name", Kind.STRING), Column("SystemModstamp", Kind.DATETIME)), ("Id",))
LOW, HIGH = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
DUCKDB = Abilities(raw_csv=True, transactional=True, holds_position=True)


def survey(rows: int, *, first: bool = True, **changes: object) -> Survey:
    found = Survey(
        object="Account",
        schema=SCHEMA,
        estimated_rows=rows,
        server_time=HIGH,
        complete_until=None,
        cursor="SystemModstamp",
        delete_flag="IsDeleted",
        window=(None if first else LOW, HIGH),
        abilities=Abilities(bulk=True, max_query_bytes=16_384),
        next_position={"stamp": HIGH},
        query="SELECT Id FROM Account",
        query_bytes=100,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def method(found: Survey, **wish: object) -> str:
    return decide(found, DUCKDB, wish=Wish(flow="f", **wish)).method  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "first", "later"),
    [
        (0, "regular_api_full", "regular_api_incremental"),
        (999, "regular_api_full", "regular_api_incremental"),
        (1_000, "bulk_api_full", "bulk_api_incremental"),
        (49_999, "bulk_api_full", "bulk_api_incremental"),
        (50_000, "bulk_api_stage_full", "bulk_api_stage_incremental"),
        (5_000_000, "bulk_api_stage_full", "bulk_api_stage_incremental"),
    ],
)
def test_the_documented_table_chooses_the_method(rows: int, first: str, later: str) -> None:
    """Below 1,000 rows REST, below 50,000 Bulk, from there a stage; full at first, then incremental."""
    assert method(survey(rows)) == first
    assert method(survey(rows, first=False)) == later


@pytest.mark.parametrize(
    ("rows", "way"), [(4_999, "regular_api"), (5_000, "bulk_api"), (24_999, "bulk_api"), (25_000, "bulk_api_stage")]
)
def test_custom_thresholds_move_the_borders(rows: int, way: str) -> None:
    """The thresholds of the caller replace the documented ones."""
    assert method(survey(rows), thresholds=Thresholds(5_000, 25_000)) == f"{way}_full"


def test_bulk_above_stage_is_refused() -> None:
    """Thresholds that contradict each other are an error that names both."""
    with pytest.raises(FixConfig, match=r"BULK_API_THRESHOLD \(10\) is above STAGE_THRESHOLD \(9\)"):
        Thresholds(10, 9)


def test_equal_thresholds_leave_no_plain_bulk() -> None:
    """With equal thresholds everything from there on is staged."""
    assert method(survey(10), thresholds=Thresholds(10, 10)) == "bulk_api_stage_full"


def test_use_stage_stages_at_any_size() -> None:
    """use_stage=True means stage, even for one row; False means by threshold."""
    assert method(survey(1), use_stage=True) == "bulk_api_stage_full"
    assert method(survey(50_000), use_stage=False) == "bulk_api_stage_full"


def test_a_stage_name_without_stages_is_ignored_with_a_reason() -> None:
    """The method keeps its name, and the plan says where the pages go instead."""
    plan = decide(survey(60_000), DUCKDB, wish=Wish(flow="f", stage_name="@SALESFORCE_STAGE"))
    assert plan.method == "bulk_api_stage_full"
    assert any("'@SALESFORCE_STAGE' is ignored" in r and "local files" in r for r in plan.reasons)


def test_a_stage_name_is_kept_where_there_are_stages() -> None:
    """A destination with stages gets no such reason."""
    plan = decide(survey(60_000), replace(DUCKDB, stage=True), wish=Wish(flow="f", stage_name="@S"))
    assert not any("ignored" in r for r in plan.reasons)
    assert plan.stage_name == "@S"
    assert Plan.from_json(plan.to_json()).stage_name == "@S"


def test_what_bulk_cannot_query_goes_by_rest_and_says_so() -> None:
    """Without Bulk, any size goes by REST, with Salesforce's reason in the plan."""
    lacking = survey(80_000, abilities=Abilities(bulk=False, bulk_reason="no such luck"))
    plan = decide(lacking, DUCKDB, wish=Wish(flow="f"))
    assert plan.method == "regular_api_full"
    assert any("no such luck" in r for r in plan.reasons)


def test_a_query_too_long_for_a_uri_goes_by_bulk() -> None:
    """A wide object travels by Bulk however few its rows; without Bulk its columns are split."""
    assert method(survey(10, query_bytes=20_000)) == "bulk_api_full"
    narrow = survey(10, query_bytes=20_000, abilities=Abilities(bulk=False, bulk_reason="no", max_query_bytes=16_384))
    plan = decide(narrow, DUCKDB, wish=Wish(flow="f"))
    assert plan.method == "regular_api_full"
    assert any("split over several queries" in r for r in plan.reasons)


def test_a_full_read_replaces_and_a_later_one_merges() -> None:
    """Full reads publish a new table, later ones change rows by key."""
    assert decide(survey(10), DUCKDB, wish=Wish(flow="f")).mode is Mode.REPLACE
    assert decide(survey(10, first=False), DUCKDB, wish=Wish(flow="f")).mode is Mode.MERGE


def test_a_position_that_cannot_be_used_makes_the_read_full() -> None:
    """The source's reason for reading everything is the plan's reason."""
    plan = decide(survey(10, first=False, full_reason="the where clause changed"), DUCKDB, wish=Wish(flow="f"))
    assert plan.method == "regular_api_full"
    assert plan.mode is Mode.REPLACE
    assert any("the where clause changed" in r for r in plan.reasons)


@pytest.mark.parametrize(
    ("deletes", "changes", "told"),
    [
        (Deletes.SOFT, {}, "stay, flagged as deleted"),
        (Deletes.IGNORE, {"delete_flag": None}, "stay, as they are"),
        (Deletes.HARD, {}, None),
        (Deletes.SOFT, {"delete_flag": None}, None),  # nothing can be flagged, so deletes are hard
        (Deletes.SOFT, {"same_question": False}, "that the source no longer has go"),
    ],
)
def test_a_full_read_that_nobody_asked_for_keeps_what_deletes_promise(
    deletes: Deletes, changes: dict[str, object], told: str | None
) -> None:
    """Where the question is the one of before, it is merged as a complete read; else it replaces, and says that rows go."""
    found = survey(10, full_reason="why", **{"same_question": True, **changes})
    plan = decide(found, DUCKDB, wish=Wish(flow="f", deletes=deletes))
    stays = told is not None and told.startswith("stay")
    assert (plan.method, plan.mode, plan.complete) == ("regular_api_full", Mode.MERGE if stays else Mode.REPLACE, stays)
    assert [reason.endswith(f" {told}.") for reason in plan.reasons if "no longer has" in reason] == ([True] if told else [])
    forced = decide(found, DUCKDB, wish=Wish(flow="f", deletes=deletes, force_full=True))
    assert (forced.mode, forced.complete) == (Mode.REPLACE, False)


def test_force_full_may_replace_and_empty_a_table() -> None:
    """Who asks for a full sync gets one: replacing a table that is not ours, and emptying it, are then allowed."""
    plan = decide(survey(10, first=False), DUCKDB, wish=Wish(flow="f", force_full=True))
    assert (plan.full, plan.allow_replace, plan.allow_empty) == (True, True, True)
    assert decide(survey(10), DUCKDB, wish=Wish(flow="f")).allow_replace is False


def test_the_key_is_found_in_any_case() -> None:
    """match_field="ID" finds the column Id; an unknown one is refused by name, with what may have been meant."""
    assert decide(survey(1), DUCKDB, wish=Wish(flow="f", key=("ID",))).key == ("Id",)
    with pytest.raises(FixConfig, match="Nope__c"):
        decide(survey(1), DUCKDB, wish=Wish(flow="f", key=("Nope__c",)))
    with pytest.raises(FixConfig, match=r"Did you mean Id\?"):
        decide(survey(1), DUCKDB, wish=Wish(flow="f", key=("Idd",)))


def test_a_plan_survives_json() -> None:
    """A plan is pure data: to JSON and back gives the same plan."""
    plan = decide(survey(1, first=False), DUCKDB, wish=Wish(flow="f", deletes=Deletes.HARD))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("rows", [0, 999, 1_000, 49_999, 50_000])
def test_every_plan_explains_itself(rows: int) -> None:
    """There is a reason for reading all or part, and a reason with the row count for the way."""
    plan = decide(survey(rows), DUCKDB, wish=Wish(flow="f"))
    assert len(plan.reasons) >= 2
    assert any(f"{rows:,} rows" in r for r in plan.reasons)


def test_soft_deletes_without_a_flag_remove_rows_and_say_so() -> None:
    """Where a deleted record cannot be flagged, its row goes; ignoring stays ignoring."""
    plan = decide(survey(10, delete_flag=None), DUCKDB, wish=Wish(flow="f"))
    assert plan.deletes is Deletes.HARD
    assert any("known to be deleted are removed" in r for r in plan.reasons)
    assert decide(survey(10, delete_flag=None), DUCKDB, wish=Wish(flow="f", deletes=Deletes.IGNORE)).deletes is Deletes.IGNORE
