"""A process that is killed at any point of a commit leaves the old table with the old position, or the new with the new.

Each mode is killed before every tenth statement, another tenth each, before the last one and after it; `--long`: before all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from halocline.connector import Mode

ROWS = 3_000

# Forks once a point: the child loads into its own copy of the database and kills itself before its n-th statement of the
# commit (and once after the last). Forking happens before any database is open, so no thread of DuckDB is copied.
_DRIVER = """
import json, os, shutil, signal, sys
from contextlib import contextmanager
from pathlib import Path

import duckdb, pyarrow
from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode, Part
from halocline.connectors.duckdb.client import Database
from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.schema import Column, Kind
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema, written

folder, rows, step = Path(sys.argv[1]), *map(int, sys.argv[2:])
schema = text_schema(Column("New", Kind.STRING))

class Counted:
    def __init__(self, cursor, points):
        self.cursor, self.points = cursor, points
    def execute(self, *args):
        if next(self.points):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.cursor.execute(*args)
    def __getattr__(self, name):
        return getattr(self.cursor, name)

def load(path, mode, deadly):
    spool = Spool(path.stem, folder)
    destination = DuckDBDestination(str(path), spool=spool)
    unit = destination.begin(destination.claim(FLOW, "child"))
    opened = unit.open(TARGET, plan(schema, mode=mode, deletes=Deletes.HARD, allow_replace=True), NoJournal())
    new = written(spool.file("new.csv"), ("Id", "Text", "New"), [(f"{n:06}", "new", "x") for n in range(rows // 2, rows * 2)])
    gone = written(spool.file("gone.csv"), ("Id",), [(f"{n:06}",) for n in range(100)])
    batches = {"new": Batch(raw=new), "gone": Batch(raw=gone, op=Op.DELETE)}
    manifests = [opened.stage(Part(name), iter([batch])) for name, batch in batches.items()]
    done = 0
    def points():
        nonlocal done
        while True:
            done += 1
            yield done == deadly
    count, plain = points(), Database.cursor
    @contextmanager
    def counted(self):
        with plain(self) as cursor:
            yield Counted(cursor, count)
    Database.cursor = counted
    unit.commit({FLOW: {"state": "new"}}, manifests)
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    Database.cursor = plain
    destination.close()
    return done

def child(mode, point):
    path = folder / f"{mode}-{point}.duckdb"
    shutil.copy(folder / "old.duckdb", path)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            (folder / "statements").write_text(str(load(path, mode, point)))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed(mode, first):
    assert child(mode, 0) == 0
    statements = int((folder / "statements").read_text())
    points = sorted({*range(first, statements + 1, step), statements, statements + 1})
    return {"statements": statements, "exits": {point: child(mode, point) for point in points}}

print(json.dumps({mode: killed(mode, 1 + number % step) for number, mode in enumerate(Mode)}))
"""


def _old(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA raw")
        connection.execute(f"CREATE TABLE raw.page AS SELECT format('{{:06}}', i) AS Id, 'old' AS Text FROM range({ROWS}) r(i)")
        connection.execute(
            "CREATE TABLE _halocline_positions (flow VARCHAR, target VARCHAR, position JSON, epoch BIGINT, owner VARCHAR,"
            " updated_at TIMESTAMPTZ, PRIMARY KEY (flow, target))"
        )
        connection.execute("""INSERT INTO _halocline_positions VALUES ('flow', 'raw.page', '{"state": "old"}', 1, 'x', now())""")


def _state(path: Path) -> str:
    """Old or new, by the rows and by the position, which must agree."""
    with duckdb.connect(path) as connection:
        position = connection.execute(
            "SELECT position ->> 'state' FROM _halocline_positions WHERE target = 'raw.page'"
        ).fetchall()
        found = connection.execute("SELECT Text, count(*), min(Id), max(Id) FROM raw.page GROUP BY Text ORDER BY Text").fetchall()
        tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
    assert tables == [(2,)], "nothing half-made is left"
    if found == [("old", ROWS, "000000", f"{ROWS - 1:06}")]:
        assert position == [("old",)]
        return "old"
    assert found[0] == ("new", ROWS * 3 // 2, f"{ROWS // 2:06}", f"{ROWS * 2 - 1:06}")
    assert position == [("new",)]
    return "new"


def test_a_killed_commit_leaves_the_old_or_the_new(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Killed before any statement of a commit in either mode, the database is as before; killed after it, as published."""
    _old(tmp_path / "old.duckdb")
    step = 1 if pytestconfig.getoption("--long") else 10
    command = [sys.executable, "-c", _DRIVER, str(tmp_path), str(ROWS), str(step)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=240)
    told = json.loads(done.stdout)
    assert [*told] == [*Mode]
    for mode, report in told.items():
        assert report["statements"] > 10, mode
        assert set(report["exits"].values()) == {-9}, mode
        states = [_state(tmp_path / f"{mode}-{point}.duckdb") for point in report["exits"]]
        assert states == ["old"] * (len(states) - 1) + ["new"], mode
        assert len(states) >= report["statements"] // step, mode
        assert _state(tmp_path / f"{mode}-0.duckdb") == "new", mode
