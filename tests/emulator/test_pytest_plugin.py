"""Laws of the pytest plugin, seen from another project: a folder with its own tests and settings, and pytest started on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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

# Its modules are collected in order of their names: nobody has used the fixture when the first one is run.
USES_NOTHING = """
    import sys

    def test_it():
        loaded = {name for name in sys.modules if name.startswith("halocline.emulator")}
        assert loaded <= {"halocline.emulator", "halocline.emulator.pytest_plugin"}
    """
FRESH = """
    import pytest

    @pytest.mark.parametrize("turn", range(2))
    def test_alone(salesforce, turn):
        assert salesforce.query("SELECT Id FROM Opportunity") == []
        salesforce.create("Opportunity", {"Name": f"Turn {turn}", "StageName": "Closed Won", "CloseDate": "2026-01-31"})
        assert len(salesforce.query("SELECT Id FROM Opportunity")) == 1
    """
SETTINGS = """
    [pytest]
    salesforce_schemas = order.yaml
    salesforce_seed = Account=5 Contact=2
    """
ORDER = """
    object: Order__c
    label: Order
    plural: Orders
    records: 7
    fields:
      Number__c: {type: string(20) external unique}
    ---
    object: Account
    records: 3
    fields: {}
    """
SEEDED = """
    def test_seeded(salesforce):
        assert len(salesforce.query("SELECT Id FROM Account")) == 5
        assert len(salesforce.query("SELECT Id FROM Order__c")) == 7
        salesforce.create("Order__c", {"Number__c": "1"})
    """


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start pytest in a project's folder, as its owner would."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    told = {**os.environ, **variables}
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False, timeout=120)


def example() -> str:
    """The example of the page on the emulator, as it is printed."""
    found = re.search(r"```python\n(# test_\w+\.py\n.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the project, whose plugins pytest finds by itself."""
    folder = tmp_path_factory.mktemp("project")
    files = {
        "pytest.ini": SETTINGS,
        "order.yaml": ORDER,
        "my_project.py": MY_PROJECT,
        "test_a_stranger.py": USES_NOTHING,
        "test_fresh.py": FRESH,
        "test_guide.py": example(),
        "test_seeded.py": SEEDED,
    }
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    return run(folder, "-v")


def passed(done: subprocess.CompletedProcess[str], module: str) -> list[str]:
    """The tests of a module that passed; all of them have to."""
    told = re.findall(rf"^{module}\.py::(\S+) (\w+)", done.stdout, re.MULTILINE)
    assert {word for _, word in told} == {"PASSED"}, done.stdout + done.stderr
    return [name for name, _ in told]


def test_every_test_has_a_fresh_org(done: subprocess.CompletedProcess[str]) -> None:
    """What one test makes, the next does not find."""
    assert passed(done, "test_fresh") == ["test_alone[0]", "test_alone[1]"]


def test_settings_come_from_the_projects_own_file(done: subprocess.CompletedProcess[str]) -> None:
    """Seed and schemas are read from pytest's settings, paths from the file's folder."""
    assert passed(done, "test_seeded") == ["test_seeded"]


def test_a_wrong_seed_is_told(tmp_path: Path) -> None:
    """A setting that means nothing is an error that names it."""
    (tmp_path / "test_it.py").write_text("def test_it(salesforce): pass")
    only = ("-p", "halocline.emulator.pytest_plugin")  # to look for others is most of a start
    done = run(tmp_path, *only, "-o", "salesforce_seed=Account", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode != 0
    assert "salesforce_seed wants Object=count, not Account" in done.stdout


def test_the_guides_example_works(done: subprocess.CompletedProcess[str]) -> None:
    """The example of the page on the emulator passes as it is printed, and has ten lines at most."""
    assert len(example().splitlines()) <= 11  # the first names the file
    assert len(passed(done, "test_guide")) == 1


def test_a_project_that_does_not_use_it_pays_nothing(done: subprocess.CompletedProcess[str]) -> None:
    """Without the fixture no part of the emulator but the plugin itself is imported."""
    assert passed(done, "test_a_stranger") == ["test_it"]
