"""Laws of the pytest plugin, seen from another project: a folder with its own tests and settings, and pytest started on it."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "emulator.md"

# The project that the guide's example tests: a loader that tries again when Salesforce is busy.
MY_PROJECT = """
    import httpx2

    KEYS = {
        "grant_type": "client_credentials",
        "client_id": "halocline-consumer-key",
        "client_secret": "halocline-consumer-secret",
    }


    def push_leads(leads, *, url):
        token = httpx2.post(f"{url}/services/oauth2/token", data=KEYS).json()["access_token"]
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
            for lead in leads:
                while client.post("/services/data/v66.0/sobjects/Lead", json=lead).status_code == 503:
                    pass
    """


def run(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Put the files down and start pytest there, as its owner would."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(textwrap.dedent(text))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_every_test_has_a_fresh_org(tmp_path: Path) -> None:
    """What one test makes, the next does not find."""
    tests = """
        import pytest

        @pytest.mark.parametrize("turn", range(2))
        def test_alone(salesforce, turn):
            assert salesforce.query("SELECT Id FROM Account") == []
            salesforce.create("Account", {"Name": f"Turn {turn}"})
            assert len(salesforce.query("SELECT Id FROM Account")) == 1
    """
    done = run(tmp_path, test_it__py=tests)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_settings_come_from_the_projects_own_file(tmp_path: Path) -> None:
    """Seed and schemas are read from pytest's settings, paths from the file's folder."""
    schema = """
        object: Order__c
        label: Order
        plural: Orders
        fields:
          Number__c: {type: string(20) external unique}
    """
    settings = """
        [pytest]
        salesforce_schemas = order.yaml
        salesforce_seed = Account=5 Contact=2
    """
    tests = """
        def test_seeded(salesforce):
            assert len(salesforce.query("SELECT Id FROM Account")) == 5
            salesforce.create("Order__c", {"Number__c": "1"})
    """
    done = run(tmp_path, order__yaml=schema, pytest__ini=settings, test_it__py=tests)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_wrong_seed_is_told(tmp_path: Path) -> None:
    """A setting that means nothing is an error that names it."""
    tests = "def test_it(salesforce): pass"
    done = run(tmp_path, "-o", "salesforce_seed=Account", test_it__py=tests)
    assert done.returncode != 0
    assert "salesforce_seed wants Object=count, not Account" in done.stdout


def test_the_guides_example_works(tmp_path: Path) -> None:
    """The example of the page on the emulator passes as it is printed, and has ten lines at most."""
    example = re.search(r"```python\n(# test_\w+\.py\n.*?)```", GUIDE.read_text(), re.DOTALL)
    assert example is not None
    assert len(example[1].splitlines()) <= 11  # the first names the file
    done = run(tmp_path, test_guide__py=example[1], my_project__py=MY_PROJECT)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_project_that_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """Without the fixture no part of the emulator but the plugin itself is imported."""
    tests = """
        import sys

        def test_it():
            loaded = {name for name in sys.modules if name.startswith("halocline.emulator")}
            assert loaded <= {"halocline.emulator", "halocline.emulator.pytest_plugin"}
    """
    done = run(tmp_path, test_it__py=tests)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
