"""A process that is killed at any point of a commit leaves the old table with the old position, or the new with the new.

Each mode is killed before every sixth step, another sixth each, and before the first and the last; `--long`: before all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.connectors.files.lakes import FLOW, TARGET, data_files, load, merge, opened, rows, texts

from halocline.connector import Mode
from halocline.connectors.files import table_files

# Forks once a point: the child loads into its own copy of the lake and kills itself before its n-th step on the disk.
_DRIVER = """
import json, os, shutil, signal, sys
from pathlib import Path

import pyarrow
from halocline.connector import Deletes, Mode
from halocline.connectors.files import local
from tests.connectors.files.lakes import FLOW, gone, opened, ready, rows

folder, every = Path(sys.argv[1]), int(sys.argv[2])

def commit(path, mode, deadly):
    os.mkdir(path / "spools")
    destination = opened(f"file://{path}/lake", path / "spools")
    changes = [rows({f"{n:03}": "new" for n in range(100, 200)}), gone("000")]
    publish = ready(destination, destination.claim(FLOW, "child"), changes, mode=mode, deletes=Deletes.HARD, allow_replace=True)
    done = 0
    def deadly_step(plain):
        def step(*args, **named):
            nonlocal done
            done += 1
            if done == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*args, **named)
        return step
    for owner, name in ((os, "link"), (local, "to_disk"), (Path, "rename"), (Path, "replace"), (Path, "unlink")):
        setattr(owner, name, deadly_step(getattr(owner, name)))
    publish("new")
    return done

def child(mode, point):
    path = folder / f"{mode}-{point}"
    shutil.copytree(folder / "old", path)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            steps = commit(path, mode, point)
            if not point:
                (folder / "steps").write_text(str(steps))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def killed(mode, first):
    assert child(mode, 0) == 0
    steps = int((folder / "steps").read_text())
    points = sorted({1, *range(first, steps + 1, every), steps})
    return {"steps": steps, "exits": {point: child(mode, point) for point in points}}

print(json.dumps({mode: killed(mode, 1 + number % every) for number, mode in enumerate(Mode)}))
"""
OLD = {f"{n:03}": "old" for n in range(150)}


def test_a_killed_commit_leaves_the_old_or_the_new(
    tmp_path: Path, record_property: pytest.RecordProperty, pytestconfig: pytest.Config
) -> None:
    """Killed before any step of a commit in either mode the table is as before or as after; the next run is right and sweeps."""
    (tmp_path / "old").mkdir()
    load(opened(f"file://{tmp_path}/old/lake", tmp_path), rows(OLD), position="old")
    every = 1 if pytestconfig.getoption("--long") else 6
    command = [sys.executable, "-c", _DRIVER, str(tmp_path), str(every)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True, timeout=240)
    told = json.loads(done.stdout)
    assert [*told] == [*Mode]
    for mode, report in zip(Mode, told.values(), strict=True):
        assert report["steps"] > 8, mode
        assert set(report["exits"].values()) == {-9}, mode
        assert len(report["exits"]) >= report["steps"] // every, mode
        states = [_state(tmp_path / f"{mode}-{point}", mode) for point in report["exits"]]
        assert sorted(states, reverse=True) == states, f"once new, always new: {mode}"
        assert set(states) == {"old", "new"}, mode
        assert _state(tmp_path / f"{mode}-0", mode) == "new", mode
        old = states.count("old")
        record_property("says", f"files, {mode}: killed before {len(states)} of {report['steps']} steps of a commit, {old} old")


def _state(path: Path, mode: Mode) -> str:
    """Old or new, by the rows and by the position, which must agree; and one more run leaves nothing but its own files."""
    uri = f"file://{path}/lake"
    found, destination = texts(uri), opened(uri, path)
    new = {f"{n:03}": "new" for n in range(100, 200)}
    position = destination.position(FLOW, TARGET)
    assert position in ({"at": "old"}, {"at": "new"})
    kept = {key: text for key, text in OLD.items() if key != "000"} if mode is Mode.MERGE else {}
    assert found == (OLD if position == {"at": "old"} else {**kept, **new})
    merge(destination, rows(new))
    assert texts(uri) == {**found, **new}
    assert data_files(path / "lake" / "raw") == {Path(name).name for name in table_files(uri, "page", schema="raw")}
    return str(position["at"])
