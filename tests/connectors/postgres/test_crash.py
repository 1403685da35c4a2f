"""A process that is killed at any point of a load leaves the old table with the old position, or the new with the new.

Each mode is killed before every eighth statement, another eighth each; `--long`: before all.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, text_schema
from tests.connectors.postgres.pages import leftovers, load, table, written
from tests.connectors.postgres.server import Place

from halocline.batch import Batch
from halocline.connector import Mode
from halocline.connectors.postgres.destination import PostgresDestination

# Forks once a point: the child kills itself before its n-th statement, COPY or commit. The parent never connects.
_DRIVER = """
import json, os, signal, sys
from pathlib import Path

import psycopg, pyarrow
from psycopg import RawCursor
from halocline.batch import Batch
from halocline.connector import Mode
from halocline.connectors.postgres.destination import PostgresDestination
from tests.connectors.duckdb.pages import text_schema
from tests.connectors.postgres.pages import load, written

uri, folder = sys.argv[1], Path(sys.argv[2])
page = written(folder / "new.csv", text_schema(), [("1", "new"), ("2", "b")])
done = 0

def deadly(kind, name, point):
    plain = getattr(kind, name)
    def counted(*args, **kwargs):
        global done
        done += 1
        if done == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*args, **kwargs)
    setattr(kind, name, counted)

def child(mode, point):
    deadly(RawCursor, "execute", point)
    deadly(RawCursor, "copy", point)
    deadly(psycopg.Transaction, "__exit__", point)
    destination = PostgresDestination(uri)
    load(destination, [Batch(raw=page)], text_schema(), mode=mode)
    destination.close()

for line in sys.stdin:
    mode, point = line.split()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(Mode(mode), int(point))
            status = 0
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_a_killed_load_leaves_the_old_or_the_new(place: Place, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Killed before any statement, row and position are both the old ones or both the new ones; the next run is right."""
    destination = PostgresDestination(place.uri())
    old = Batch(raw=written(tmp_path / "old.csv", text_schema(), [("1", "old"), ("2", "b")]))
    step = 1 if pytestconfig.getoption("--long") else 8
    command = [sys.executable, "-c", _DRIVER, place.uri(), str(tmp_path)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for number, mode in enumerate(Mode):
            ends, states, point = [-9], [], 1 + number % step - step
            while ends[-1] == -9:
                point += step
                load(destination, [old], text_schema(), mode=mode)
                place.run("UPDATE _halocline_positions SET position = '{\"old\": 1}' WHERE position IS NOT NULL")
                driver.stdin.write(f"{mode} {point}\n")
                driver.stdin.flush()
                ends.append(int(driver.stdout.readline()))
                states.append((table(place)[0]["text"], str(destination.position(FLOW, TARGET))))
            load(destination, [old], text_schema(), mode=mode)
            assert point - step > 13, f"a load has many statements: {mode}"
            assert ends[-1] == 0, mode
            assert states[-1] == ("new", "{'done': True}"), mode
            assert set(states) == {("old", "{'old': 1}"), states[-1]}, mode
            assert leftovers(place) == [], mode
        driver.stdin.close()
    destination.close()
