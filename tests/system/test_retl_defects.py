"""Laws of reverse ETL that an older tool for the same job broke. Each test says in its docstring what was lost there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline import registry, retl
from halocline.compat.lht.salesforce import retl as lht_retl
from halocline.config import Settings
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.destination import SalesforceDestination
from halocline.emulator.server import Emulator
from halocline.errors import HaloclineError, JobFailed, StillRunning
from tests.connectors.salesforce.writable import writable

pytestmark = pytest.mark.system

QUERY = 'SELECT ext AS "Ext__c", name AS "Name" FROM accounts'


@dataclass
class Place:
    """A lake with a table `accounts` (ext, name), and an org."""

    lake: duckdb.DuckDBPyConnection
    emulator: Emulator
    client: SalesforceClient
    settings: Settings

    def put(self, count: int, *, bad: str = "false") -> None:
        name = f"CASE WHEN {bad} THEN NULL ELSE 'n' || i END"
        self.lake.execute(f"CREATE TABLE accounts AS SELECT 'e' || i AS ext, {name} AS name FROM range({count}) t(i)")

    def upsert(self, query: str = QUERY, **options: Any) -> Any:
        return retl.upsert(self.lake, self.client, "Account", query, "Ext__c", settings=self.settings, **options)

    def held(self) -> list[Any]:
        return sorted(row["Ext__c"] for row in self.emulator.query("SELECT Ext__c FROM Account"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with writable(tmp_path) as (emulator, client), duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        yield Place(lake, emulator, client, Settings(tmp_path / "home", tmp_path))


# ---- an upload or a close that fails is no empty job


@pytest.mark.parametrize("kind", ["ingest.upload", "ingest.end"])
def test_an_upload_that_fails_is_never_closed_as_an_empty_job(place: Place, kind: str) -> None:
    """The status of upload and close was not looked at, so a failed upload ended as a completed job without rows."""
    place.put(5)
    place.emulator.faults.add("answer", kind=kind, status=400, times=50)
    with pytest.raises(HaloclineError):
        place.upsert()
    assert place.held() == []
    place.emulator.faults.clear()
    assert place.upsert()["records_processed"] == 5
    assert len(place.held()) == 5


@pytest.mark.parametrize("kind", ["ingest.upload", "ingest.end"])
def test_an_upload_that_fails_for_a_moment_is_repeated(place: Place, kind: str) -> None:
    """Likewise: nothing was lost but time."""
    place.put(5)
    place.emulator.faults.add("unavailable", kind=kind, times=1)
    assert place.upsert()["successful_batches"] == 1
    assert len(place.held()) == 5


# ---- a job that completes is not a success of its rows


def test_a_job_with_a_refused_row_is_no_success(place: Place) -> None:
    """Every job that completed counted as successful, and rows read as processed, also when no row was written."""
    place.put(40, bad="i % 4 = 0 AND i < 20")
    told = place.upsert(batch_size=20)
    assert (told["successful_batches"], told["failed_batches"]) == (1, 1)
    assert [one["success"] for one in told["batch_results"]] == [False, True]
    assert (told["records_processed"], told["records_failed"], len(place.held())) == (40, 5, 35)


def test_no_row_written_is_no_success_at_all(place: Place) -> None:
    """One of one row failed, and the answer said one of one batches successful."""
    place.put(1, bad="true")
    told = place.upsert()
    assert (told["successful_batches"], told["failed_batches"], told["records_failed"]) == (0, 1, 1)
    assert "REQUIRED_FIELD_MISSING" in told["batch_results"][0]["error"]


def test_a_job_that_fails_is_told_and_its_rows_are_not_processed(place: Place) -> None:
    """Rows read counted as processed, whatever the job did."""
    place.put(5)
    place.emulator.faults.add("job_failed", times=10)
    with pytest.raises(JobFailed) as caught:
        place.upsert()
    told: Any = caught.value.facts["result"]
    assert (told["total_records"], told["records_processed"], told["records_failed"]) == (5, 0, 5)
    assert (told["successful_batches"], told["failed_batches"]) == (0, 1)


# ---- an empty query


@pytest.mark.parametrize("name", ["upsert", "update", "insert", "delete"])
def test_an_empty_query_starts_no_job(place: Place, name: str) -> None:
    """Update, insert and delete started a job without a body, which could only fail."""
    place.put(0)
    more = ("Ext__c",) if name == "upsert" else ()
    function: Callable[..., Any] = getattr(lht_retl, name)
    assert function(place.lake, place.client, "Account", QUERY, *more, settings=place.settings) is None
    assert place.emulator.calls.count("ingest.create") == 0


CHILD = """
import sys, tracemalloc
from pathlib import Path
from unittest.mock import patch
import pyarrow
from halocline import registry, retl
from halocline.config import Settings
from halocline.connectors.duckdb import query
from halocline.connectors.salesforce import job_results, pages
from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.writing import deciding, frames, staging
from halocline.rows import columns

# What is held at a time grows no further from some ten thousand rows on; made small, it is full in both runs and hides nothing.
for module, name, size in (
    (deciding, "FEW_ROWS", 100),  # as if so many rows were too many to go without a job
    (query, "_BATCH_ROWS", 100),
    (columns, "_PIECE_BYTES", 1 << 20),
    (staging, "FRAME_BYTES", 1 << 20),
    (frames, "FRAME_BYTES", 1 << 20),
    (job_results, "_BLOCK_BYTES", 1 << 16),  # Arrow reads 32 of them ahead
):
    patch.object(module, name, size).start()
patch.dict(pages.text_batches.__kwdefaults__, block_bytes=1 << 16).start()
url, key, secret, home, *counts = sys.argv[1:]
login = ClientCredentialsAuthenticator(key, secret, login_url=url)
lake, settings = f"duckdb:///{home}/lake.duckdb", Settings(Path(home))
tracemalloc.start()
made = "'e' || i AS \\"Ext__c\\", repeat('x', 10000) || i AS \\"Description\\", 'n' AS \\"Name\\""
for rows in counts:
    sql = f"SELECT {made} FROM range({rows}) t(i)"
    told = retl.upsert(lake, login, "Account", sql, "Ext__c", log_schema=None, settings=settings)
    assert (told["records_failed"], len(told["batch_results"])) == (0, 1), told
    # The most that Python and Arrow had in use; and the most of the machine that the process had, which tells of its allocators
    # as well: among other processes these keep what was given back, and grew by more than the rows in some runs.
    used = tracemalloc.get_traced_memory()[1] + pyarrow.default_memory_pool().max_memory()
    had = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(used >> 20, had >> 10)
"""


def peaks_mb(place: Place, folder: Path, *counts: int) -> list[tuple[int, int]]:
    """The most that a process which pushes first so many rows of 10,000 characters, then so many, has used by the end of each.

    In Python and Arrow, and in all.
    """
    config = place.emulator.config
    arguments = [place.emulator.url, config.consumer_key, config.consumer_secret, str(folder), *map(str, counts)]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True)
    return [(int(used), int(had)) for used, had in (line.split() for line in done.stdout.splitlines())]


def test_rows_are_not_held_in_memory(place: Place, tmp_path: Path) -> None:
    """All rows of the query were held in memory, as a list and as one text besides."""
    place.put(0)
    place.lake.close()
    (few, _), (many, _) = peaks_mb(place, tmp_path, 300, 2_800)
    assert many - few < 12, f"{few} and {many} MB: 2,500 more rows of 10,000 characters, 25 MB, were held at least once"


@pytest.mark.long
def test_memory_does_not_grow_with_the_rows(place: Place, tmp_path: Path) -> None:
    """Nor does DuckDB hold them, or anything else that neither Python nor Arrow counts."""
    place.put(0)
    place.lake.close()
    (_, few), (_, many) = peaks_mb(place, tmp_path, 10_000, 60_000)
    assert many - few < 250, f"{few} and {many} MB: 50,000 more rows of 10,000 characters, 500 MB, were held at least once"


def test_a_query_is_asked_once(place: Place) -> None:
    """Pages by LIMIT and OFFSET asked it anew for each batch, in whatever order: rows were sent twice or never."""
    place.put(0)
    place.lake.execute("CREATE SEQUENCE s")
    query = "SELECT 'e' || nextval('s') AS \"Ext__c\", 'n' AS \"Name\" FROM range(60) ORDER BY random()"
    told = place.upsert(query, batch_size=20)
    assert (told["total_batches"], told["records_processed"]) == (3, 60)
    assert place.held() == sorted(f"e{at}" for at in range(1, 61))


def test_waiting_for_a_job_has_an_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Update, insert and delete waited for a job for ever; here the job goes on, and the next call asks what became of it."""
    monkeypatch.setattr(registry, "open_rows", lambda session, **_: SalesforceDestination(session, deadline_s=0.2))
    place.put(2)
    place.emulator.faults.add("job_stuck", times=1)
    with pytest.raises(StillRunning) as caught:
        place.upsert()
    assert caught.value.facts["result"]


# ---- results and rows


def test_results_are_matched_to_rows_without_being_asked(place: Place) -> None:
    """Results were matched to source rows only where a match field was passed, and only by that field."""
    place.put(30, bad="i % 7 = 3")
    told = retl.insert(place.lake, place.client, "Account", f"{QUERY} ORDER BY length(ext), ext", settings=place.settings)
    assert told is not None
    bad = [3, 10, 17, 24]
    errors: Any = told["errors"]
    assert [(error["row"], error["record"]["Ext__c"]) for error in errors] == [(row, f"e{row}") for row in bad]
    found = place.lake.execute("SELECT ROW FROM LOGS.FAILURE ORDER BY 1").fetchall()
    assert found == [(row,) for row in bad]
    ids = {str(row["Id"]): row["Ext__c"] for row in place.emulator.query("SELECT Id, Ext__c FROM Account")}
    written = place.lake.execute("SELECT ROW, SF_ID FROM LOGS.SUCCESS").fetchall()
    assert {row: ids[str(record)] for row, record in written} == {row: f"e{row}" for row in range(30) if row not in bad}
