"""Laws of continuous integration: its file can be read, does what make does, and tries every Python that the package names."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / ".github" / "workflows" / "ci.yml"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(FILE.read_text(), Loader=yaml.BaseLoader)  # "on" is a word, and 3.10 is no number
    return found


def steps() -> list[dict[str, Any]]:
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


def test_every_python_that_the_package_names_is_tried() -> None:
    """The matrix, the classifiers, and what make, the type checker and the linter take for granted are one list."""
    named = [line.removeprefix("Programming Language :: Python :: ") for line in PYPROJECT["project"]["classifiers"]]
    lowest, highest = PYTHONS[0], PYTHONS[-1]
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in named if re.fullmatch(r"3\.\d+", name)] == PYTHONS
    assert workflow()["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert PYPROJECT["project"]["requires-python"] == f">={lowest}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert re.findall(r"python(3\.\d+)[ )]", makefile.split("FIND_PYTHON")[1].split("\n")[0]) == PYTHONS[::-1]
    after = int(highest.split(".")[1]) + 1
    assert f"(3, {lowest.split('.')[1]}) <= sys.version_info < (3, {after})" in makefile
    assert f"--python-version {lowest} " in makefile  # the locks


def test_jobs_are_make_targets() -> None:
    """What runs there runs on any machine: a target of the Makefile, or a tool of the repository."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    runs = [step["run"] for step in steps() if "run" in step]
    made = [match[1] for run in runs if (match := re.fullmatch(r"make ([a-z-]+) PYTHON=python( [A-Z_]+=\S+)*", run))]
    assert sorted(made) == ["faults", "lint", "release", "test"]
    assert set(made) <= targets
    for run in set(runs) - {run for run in runs if run.startswith("make ")}:
        assert (ROOT / run.split()[1]).is_file()
    for run in runs:
        assert subprocess.run(["bash", "-n", "-c", run], check=False).returncode == 0


def test_the_file_is_one_that_a_runner_takes() -> None:
    """Jobs have a machine, an end and steps; steps run or use something pinned; nothing is written to the repository."""
    found = workflow()
    assert set(found) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert found["permissions"] == {"contents": "read"}
    assert set(found["on"]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    for job in found["jobs"].values():
        assert set(job) <= {"runs-on", "timeout-minutes", "steps", "strategy", "needs", "if"}
        assert int(job["timeout-minutes"]) > 0
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        assert set(job.get("needs", [])) <= set(found["jobs"])
    for step in steps():
        assert ("run" in step) != ("uses" in step)
        assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])
    assert "://" not in FILE.read_text()
    assert "secrets." not in FILE.read_text()


@pytest.mark.parametrize("name", ["lint", "test", "release", "faults"])
def test_each_part_has_a_job(name: str) -> None:
    """Faults are for the night, and a release waits for lint and tests."""
    job = workflow()["jobs"][name]
    assert ("schedule" in job.get("if", "")) == (name == "faults")
    assert job.get("needs", []) == (["lint", "test"] if name == "release" else [])
