"""Run benchmarks one after the other, keep what each printed, and write docs/results.md and README's table from it.

usage: bench.py [NAME ...]

Without a name all run. One that fails stops no other, and its last good run stays on the page. A run that the environment made
another one (ROWS=10000, ONLY_PEERS=none) is shown, and not kept.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import results

BENCHMARKS = results.ROOT / "benchmarks"


def main(names: list[str]) -> int:
    """Run those benchmarks; the number of those that failed."""
    failed = [name for name in names or results.JOBS if not _kept(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return results.main([]) or len(failed)


def _kept(name: str) -> bool:
    """Run one, and keep what it printed; whether it ended well."""
    began, started = datetime.now(UTC), time.monotonic()
    print(f"== {name}", flush=True)
    code, told = _shown([sys.executable, str(BENCHMARKS / f"{name}.py")])
    seconds = time.monotonic() - started
    if code:
        return False
    other = [one for one in _settings(name) if one in os.environ]
    if other:
        print(f"{name} is not kept: {', '.join(other)} made it another run than the documented one")
        return True
    (results.RUNS / f"{name}.txt").write_text(f"# {began:%Y-%m-%d}, {seconds:.0f} s\n{told}")
    return True


def _shown(command: list[str]) -> tuple[int, str]:
    """Run a command, and show what it prints line by line as it comes."""
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            told.append(line)
    return process.returncode, "".join(told)


def _settings(name: str) -> list[str]:
    """The variables that change a benchmark."""
    return sorted({*re.findall(r'env(?:iron)?\.get\("([A-Z_]+)"', (BENCHMARKS / f"{name}.py").read_text())})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
