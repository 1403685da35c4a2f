"""The options of a sync from Python are held against what they may be, as those of the command line are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halocline.config import Settings
from halocline.errors import FixConfig
from halocline.sync import IntelligentSync, SobjectSync
from halocline.sync_options import sound
from halocline.tables import TableCopy, Tables

WRONG: list[tuple[str, object, str]] = [
    ("max_delete_share", 5, "max_delete_share=5 is no share"),
    ("max_delete_share", 50, "from 0 to 1: 0.5 is half of them"),
    ("max_delete_share", float("nan"), "is no share"),
    ("max_delete_share", "0.5", "is no share"),
    ("full", "no", "force_full_sync='no' is neither True nor False"),
    ("history", "yes", "history='yes' is neither True nor False"),
    ("allow_empty", 2, "is neither True nor False"),
    ("fields", "", "fields='' names no columns"),
    ("fields", ["Id", ""], "names no columns"),
    ("fields", 5, "names no columns"),
    ("exclude", {"Description": 1}, "names no columns"),
    ("key", ["Id", "Name"], "A row has one key: name one field"),
    ("key", "", "match_field='' is empty"),
    ("where", 5, "where_clause=5 is no text"),
    ("deletes", None, "deletes=None is no text"),
    ("lookback", "10", "lookback_s='10' is no number of seconds"),
    ("lookback", -1, "is no number of seconds"),
    ("lookback", float("inf"), "is no number of seconds"),
    ("lookback", 99_999_999_999, "is no number of seconds"),
    ("lookback", 1e300, "from 0 to 3155760000, a hundred years"),
    ("rename", ["Name=x"], "{'Name': 'account_name'}"),
    ("rename", {"Name": None}, "leads from no column's name to a text"),
    ("mask", "Email=hash", "{'Email': 'hash'}"),
]


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_value_that_an_option_cannot_have_is_refused(name: str, value: object, told: str) -> None:
    """With the option, the value and what to give; nothing is taken for true, or for no limit, in silence."""
    options: dict[str, Any] = {name: value}
    with pytest.raises(FixConfig) as caught:
        sound(SobjectSync("Contact", "RAW", "C", **options))
    assert told in str(caught.value)


@pytest.mark.parametrize("value", ["10", -1, float("nan"), float("inf"), 1e300])
def test_a_copy_looks_back_for_seconds(value: Any) -> None:
    """As a sync: what no instant can be reached by is refused when the copy is declared."""
    with pytest.raises(FixConfig, match=r"overlap_s=.* is no number of seconds"):
        TableCopy("a", overlap_s=value)


@pytest.mark.parametrize("value", ["10", -1, None, True, float("nan")])
def test_a_wait_that_is_no_number_of_seconds_is_refused_at_once(value: Any) -> None:
    """Of a sync and of a copy, before anything is opened."""
    with pytest.raises(FixConfig, match=f"wait_s={value!r} is no number of seconds"):
        IntelligentSync("duckdb:///:memory:", {}, wait_s=value)
    with pytest.raises(FixConfig, match=f"wait_s={value!r} is no number of seconds"):
        Tables("duckdb:///a", "duckdb:///b", tables=[TableCopy("a")], wait_s=value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BULK_API_THRESHOLD", "10", "BULK_API_THRESHOLD='10' is no number of rows"),
        ("BULK_API_THRESHOLD", -1, "a threshold is negative"),
        ("REGULAR_API_THRESHOLD", True, "BULK_API_THRESHOLD=True is no number of rows"),
        ("STAGE_THRESHOLD", None, "STAGE_THRESHOLD=None is no number of rows"),
        ("STAGE_THRESHOLD", float("nan"), "STAGE_THRESHOLD=nan is no number of rows"),
        ("OVERLAP_S", -5, "OVERLAP_S=-5 is no number of seconds"),
        ("OVERLAP_S", float("inf"), "OVERLAP_S=inf is no number of seconds"),
        ("JOB_DEADLINE_S", "1", "JOB_DEADLINE_S='1' is no number of seconds"),
    ],
)
def test_an_attribute_that_cannot_be_meant_is_in_the_answer(name: str, value: Any, told: str, tmp_path: Path) -> None:
    """Before anybody is asked, and before a file is made."""
    with IntelligentSync(f"duckdb:///{tmp_path}/lake.duckdb", {}, settings=Settings.from_env({})) as system:
        setattr(system, name, value)
        answer = system.sync_sobject("Account", "raw", "a")
    assert told in str(answer["error"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parallel", [0, "2", 1.5, True, None])
def test_how_many_run_at_a_time_is_a_whole_number(parallel: Any) -> None:
    """Also where they share a connection, and run one after the other."""
    jobs = [SobjectSync("Account", None, "A"), SobjectSync("Contact", None, "C")]
    with IntelligentSync("duckdb:///:memory:", {}) as system:
        for go in (system.run_all, system.plan_all):
            with pytest.raises(FixConfig, match=f"parallel={parallel!r} lets nothing run"):
                list(go(jobs, parallel=parallel))


def test_values_that_an_option_can_have_stay_as_they_are() -> None:
    """Whole numbers where a fraction may be, a schema that is none, and what is not given."""
    options: dict[str, Any] = {
        "max_delete_share": 1,
        "lookback": 0,
        "full": 1,
        "history": None,
        "rename": {"Name": "n"},
        "fields": ["Id"],
    }
    job = SobjectSync("Contact", None, "C", **options)
    assert sound(job) == job
    assert sound(SobjectSync("Contact", "RAW", "C")) == SobjectSync("Contact", "RAW", "C")


def test_columns_may_be_given_in_a_text() -> None:
    """By comma, as on the command line; a text is no list of letters."""
    columns: dict[str, Any] = {"fields": "Id, Name", "exclude": "Description"}
    job = sound(SobjectSync("Contact", "RAW", "C", **columns))
    assert (job.fields, job.exclude) == (["Id", "Name"], ["Description"])
    several = sound(SobjectSync("Contact", "RAW", "C", fields=(one for one in ("Id", "Name"))))  # type: ignore[arg-type]  # on purpose
    assert several.fields == ["Id", "Name"]


def test_a_mistake_is_in_the_answer_before_anybody_is_asked(tmp_path: Path) -> None:
    """As every failure of a sync: the org is not called, and the database is not made."""
    lake = tmp_path / "lake.duckdb"
    settings = Settings.from_env({"HALOCLINE_HOME": str(tmp_path)})
    with IntelligentSync(
        f"duckdb:///{lake}", {"access_token": "t", "instance_url": "http://127.0.0.1:1"}, settings=settings
    ) as system:
        told = system.sync_sobject("Contact", "RAW", "C", max_delete_share=50)
    assert (told["success"], "max_delete_share=50 is no share" in str(told["error"])) == (False, True)
    assert not lake.exists()
