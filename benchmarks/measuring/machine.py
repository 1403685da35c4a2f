"""What the figures were measured on: machine, versions, load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

OURS = ("halocline", "duckdb", "psycopg", "pyarrow", "httpx2", "isal", "boto3", "pydantic", "redis", "hiredis")
PEERS = (
    *("kinetic-core", "lht", "simple-salesforce", "dlt", "duckdb", "pandas", "sqlalchemy", "pyarrow"),
    *("adbc-driver-postgresql", "psycopg2-binary", "requests"),
    *("kicksaw-integration-utils", "boto3", "pydantic"),
    *("dramatiq", "dramatiq-sqs", "celery", "kombu", "taskiq", "taskiq-aio-sqs", "aws_lambda_powertools", "redis"),
)
_ASK = """
import sys
from importlib import metadata
there = {one.metadata["Name"].lower(): one.version for one in metadata.distributions()}
print(", ".join(f"{name} {there[name]}" for name in sys.argv[1:] if name in there))
"""


def told(peers: Iterable[str]) -> str:
    """Some lines for the head of a report; `peers` are the Pythons of the peers' environments."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    lines = [
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {system}",
        f"load average at the start {os.getloadavg()[0]:.1f}",
        "ours: " + ", ".join(f"{name} {metadata.version(name)}" for name in OURS),
        *(f"peer: {_versions(python)}" for python in dict.fromkeys(peers)),
    ]
    return "\n".join(lines)


def _versions(python: str) -> str:
    return subprocess.run([python, "-c", _ASK, *PEERS], check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
        if path.exists()
        else []
    )
    return names[0] if names else platform.processor() or sys.platform


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
