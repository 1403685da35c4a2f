"""Laws of both majors of the connector, and of Snowpark: what is handed in works on each as on the one of all other tests.

All others hand in connections: one of 5.x is left to `--long`, as the URI makes one there.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.connectors.snowflake.server import Server
from tests.system.clients.environments import ENVIRONMENTS

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("driver_script.py")


@pytest.mark.parametrize(
    ("major", "kind"), [("5", "uri"), pytest.param("5", "connection", marks=pytest.mark.long), ("4", "session")]
)
def test_every_driver_does_the_same(major: str, kind: str, server: Server, tmp_path: Path) -> None:
    """A URI, a connection of 5.x and a Snowpark session on 4.x load, merge and are queried, with the same counts and rows."""
    python = ENVIRONMENTS[f"snowflake-{major}"].ready() / "bin" / "python"
    command = [str(python), "-W", "ignore", str(SCRIPT), str(server.port), server.database(tmp_path), str(tmp_path), kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["version"].startswith(f"{major}.")
    assert told["full"]["inserted"] == 3
    assert [told["merged"][name] for name in ("inserted", "updated", "deleted", "unchanged")] == [1, 1, 1, 1]
    assert [(row[1][:3], row[3]) for row in told["rows"]] == [
        ("Łód", "True"),
        ("Łód", "False"),
        ("new", "False"),
        ("Łód", "False"),
    ]
    assert told["position"] == {"n": 2}
    assert told["types"] == ["decimal128(18, 2)", "timestamp[us, tz=UTC]"]
    assert told["amounts"] == ["1.05", "2.05", "3.05", "4.05"]
