"""Check an environment with the required dependencies only: it holds nothing of an extra, and the command line starts.

`make test` runs this with the interpreter of that environment.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

EXTRAS = ("duckdb", "pytz", "starlette", "uvicorn", "adbc_driver_sqlite", "pandas")
COMMANDS = (["--help"], ["version"])


def main() -> int:
    """Print what is wrong, one line each; return 1 if anything is."""
    faults = [f"{name} is installed, but belongs to an extra" for name in EXTRAS if importlib.util.find_spec(name)]
    faults += [fault for command in COMMANDS if (fault := _failure(command))]
    print("\n".join(f"core-cli: {fault}" for fault in faults) or "core-cli: starts with no extras installed")
    return 1 if faults else 0


def _failure(arguments: list[str]) -> str | None:
    program = Path(sys.executable).with_name("halocline")
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0 and done.stdout.strip():
        return None
    return f"`halocline {' '.join(arguments)}` ended with {done.returncode}: {(done.stderr or 'no output').strip()}"


if __name__ == "__main__":
    sys.exit(main())
