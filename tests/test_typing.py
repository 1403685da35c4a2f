"""Laws of the types that ship: what users write is understood by mypy and by pyright, and what is wrong is told by both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USAGE = sorted((ROOT / "tests" / "typing").glob("*_usage.py"))


def test_mypy_understands_typed_usage() -> None:
    """No error, and every line marked as wrong is one: an ignore that ignores nothing would be told."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, USAGE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_understands_typed_usage(tmp_path: Path) -> None:
    """Its errors are at the lines that are marked as wrong, and nowhere else."""
    settings = {
        "include": [str(path) for path in USAGE],
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,
        "extraPaths": [str(ROOT / "src")],
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    program = str(Path(sys.executable).parent / "basedpyright")
    command = [program, "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    found = [one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] == "error"]
    lines = [(path.name, number, line) for path in USAGE for number, line in enumerate(path.read_text().splitlines())]
    marked = {(name, number) for name, number, line in lines if "# wrong: " in line}
    assert {(Path(one["file"]).name, one["range"]["start"]["line"]) for one in found} == marked, found
