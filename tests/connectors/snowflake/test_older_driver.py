"""Laws of the older major of the connector, and of Snowpark: what is handed in works as the newer one does."""

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
SCRIPT = Path(__file__).with_name("older_driver.py")


@pytest.mark.parametrize("kind", ["uri", "connection", "session"])
def test_the_older_driver_does_the_same(kind: str, server: Server, tmp_path: Path) -> None:
    """A URI, a connection of 4.x and a Snowpark session load, merge and are queried, with the counts and rows that 5.x has."""
    python = ENVIRONMENTS["snowflake-4"].ready() / "bin" / "python"
    command = [str(python), "-W", "ignore", str(SCRIPT), str(server.port), server.database(tmp_path), str(tmp_path), kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["version"].startswith("4.")
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
