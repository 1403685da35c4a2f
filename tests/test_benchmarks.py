"""Laws of the benchmarks: what is counted is the contender and all of it, and a table that differs is no result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from benchmarks.measuring.process import Failed, run

ROOT = Path(__file__).resolve().parent.parent
ROWS = 2_000
LAST = re.compile(r"extract: vs_best_peer=none vs_floor=(\S+) peak_mb=(\d+)((?: \w+=\S+)*)")
FIELDS = {"Id": "id", "Description": "textarea", "BillingCity": "string", "CreatedDate": "datetime", "AnnualRevenue": "currency"}
AWKWARD = (
    ("001A", "two\nlines", "Αθήνα", "2026-11-21T10:00:00Z", "12"),
    ("001B", 'a "quote"', "Seattle", "2026-11-21T11:00:00Z", None),
    ("001C", None, "Zürich", "2026-11-21T12:00:00Z", "0"),
)


@pytest.mark.system
def test_extract_measures_equal_tables_and_ends_with_its_figures() -> None:
    """Ours, the floor in three ways and two incremental runs give the same rows and the same content, or there are no figures."""
    env = {**os.environ, "ROWS": str(ROWS), "ROUNDS": "1", "SCALE": "1", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "extract.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST.fullmatch(told[-1])
    assert last, told[-1]
    assert float(last[1]) > 0
    assert int(last[2]) > 50  # DuckDB and Arrow alone are more
    turns = [line.split("round 1")[1].split(" wall ")[0].strip() for line in told if "round 1" in line]
    assert sorted(turns) == ["floor gz", "floor gzip", "floor identity", "ours"]
    assert sum(f"{ROWS // 100} rows changed" in line for line in told) == 2
    assert "simple-salesforce" not in done.stdout


def test_a_contender_is_charged_for_its_own_memory_and_time(tmp_path: Path) -> None:
    """What a child allocates and burns is in its cost, and what it says is passed on."""
    burn = "import json, sys, time\nheld = b'x' * (120 << 20)\nwhile time.process_time() < 0.3: pass\n"
    script = tmp_path / "burn.py"
    script.write_text(burn + "print('noise')\nprint(json.dumps({'rows_read': json.loads(sys.argv[1])['rows']}))\n")
    cost = run([sys.executable, str(script)], {"rows": 7})
    assert cost.told == {"rows_read": 7}
    assert cost.peak_mb > 120
    assert cost.cpu_s >= 0.3
    assert cost.wall_s >= 0.3


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "import json; print(json.dumps({}), flush=True); raise SystemExit(3)"])
def test_a_contender_that_fails_has_no_cost(tmp_path: Path, text: str) -> None:
    """A process that ends badly raises, whether it had answered or not."""
    script = tmp_path / "fails.py"
    script.write_text(text)
    with pytest.raises(Failed):
        run([sys.executable, str(script)], {})


def test_the_content_hash_knows_values_and_nothing_else(tmp_path: Path) -> None:
    """Order of rows, case of names and the choice of a type change nothing; one changed value does, and so does null for text."""
    exact = _content(
        tmp_path / "a.duckdb", AWKWARD, "Id VARCHAR, Description VARCHAR, BillingCity VARCHAR, CreatedDate TIMESTAMPTZ"
    )
    other = _content(
        tmp_path / "b.duckdb", AWKWARD[::-1], "ID VARCHAR, DESCRIPTION VARCHAR, BILLINGCITY VARCHAR, CREATEDDATE TIMESTAMP"
    )
    assert exact == other
    assert exact["rows"] == len(AWKWARD)
    changed = (*AWKWARD[:2], ("001C", "nan", *AWKWARD[2][2:]))
    differs = _content(
        tmp_path / "c.duckdb", changed, "Id VARCHAR, Description VARCHAR, BillingCity VARCHAR, CreatedDate TIMESTAMPTZ"
    )
    assert differs["content"] != exact["content"]


def _content(path: Path, rows: tuple[tuple[str | None, ...], ...], columns: str) -> dict[str, object]:
    with duckdb.connect(str(path)) as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE TABLE accounts ({columns}, AnnualRevenue DECIMAL(18, 0))")
        database.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", rows)
    wanted = {"database": str(path), "table": "main.accounts", "fields": FIELDS}
    script = ROOT / "benchmarks" / "measuring" / "table.py"
    done = subprocess.run([sys.executable, str(script), json.dumps(wanted)], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found
