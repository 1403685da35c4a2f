"""Laws of looking: a plan changes nothing, not even by making a file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from halocline.sync import IntelligentSync, SobjectSync
from tests.system.laptop import laptop

pytestmark = pytest.mark.system


def test_a_plan_makes_no_file_and_takes_no_lock(tmp_path: Path) -> None:
    """Looking at a database that is not there leaves none; one that somebody reads can be looked at, and stays as it was."""
    lake = tmp_path / "lake.duckdb"
    job = SobjectSync("Account", "raw", "accounts")
    with laptop(tmp_path) as here:
        here.seed("Account", 3)
        with IntelligentSync(f"duckdb:///{lake}", here.client, settings=here.settings) as system:
            assert system.plan(job)[1].method == "regular_api_full"
            assert not lake.exists()
            system.run(job)
            before = lake.read_bytes()
            with duckdb.connect(str(lake), read_only=True):
                assert system.plan(job)[1].method == "regular_api_incremental"
            assert lake.read_bytes() == before


def test_the_time_that_a_failed_login_took_is_told(tmp_path: Path) -> None:
    """`sync_duration_seconds` counts from the call, whatever fails."""
    with laptop(tmp_path) as here:
        dead = {"access_token": "00D!x", "instance_url": here.org.url}
        with IntelligentSync(here.lake, dead, settings=here.settings) as system:
            told = system.sync_sobject("Account", "raw", "accounts")
    assert told["success"] is False
    assert isinstance(told["sync_duration_seconds"], float)
    assert told["sync_duration_seconds"] > 0
