"""`halocline emulator import` writes the shape of an org as schema files, and `halocline emulator --schema` runs them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from halocline.connectors.salesforce import SalesforceClient
from halocline.emulator import server
from halocline.emulator.describe import sobject_describe
from halocline.emulator.schema_files import load_catalog
from halocline.emulator.server import Emulator, EmulatorConfig
from tests.command_line import app

INVOICE = Path(__file__).parent.parent / "emulator" / "invoice.yaml"

Import = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No session of whoever runs the tests; notes of running emulators stay in a folder of the test's own."""
    for name in [one for one in os.environ if one.startswith("SF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An org with objects of its own, and the credentials for it in the environment."""
    with Emulator(EmulatorConfig(schemas=(INVOICE,))) as emulator:
        monkeypatch.setenv("SF_CLIENT_ID", emulator.config.consumer_key)
        monkeypatch.setenv("SF_CLIENT_SECRET", emulator.config.consumer_secret)
        yield emulator


@pytest.fixture
def import_shape(tmp_path: Path) -> Import:
    """Runs the verb; what it writes is in the folder `schemas`."""
    folder = str(tmp_path / "schemas")
    return lambda *words: CliRunner().invoke(app, ["emulator", "import", "--out", folder, *words])


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with answers of describe, and one of the global describe."""
    catalog = load_catalog([INVOICE])
    folder = tmp_path / "recorded"
    folder.mkdir()
    for sobject in catalog:
        if sobject.name in ("Account", "Invoice__c", "Invoice_Line__c"):
            text = json.dumps(sobject_describe(catalog, sobject, version="66.0"))
            (folder / f"{sobject.name}.json").write_text(text, encoding="utf-8")
    (folder / "Global.json").write_text('{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": []}', encoding="utf-8")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_emulator_takes_the_shape_of_another(org: Emulator, import_shape: Import, tmp_path: Path) -> None:
    """All objects, by login: both orgs answer every describe alike."""
    done = import_shape("--from", org.url, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (len(said["objects"]), said["notes"]) == (len(org.org.catalog), [])
    assert "Invoice__c" not in said["replaced"]
    assert "Account" in said["replaced"]
    with Emulator(EmulatorConfig(schemas=(tmp_path / "schemas",))) as twin, _client(org) as one, _client(twin) as other:
        assert one.list_objects() == other.list_objects()
        for name in ("Account", "Invoice__c", "Invoice_Line__c", "Task", "User"):
            assert one.describe(name) == other.describe(name)


def _client(emulator: Emulator) -> SalesforceClient:
    config = emulator.config
    login = {"SF_CLIENT_ID": config.consumer_key, "SF_CLIENT_SECRET": config.consumer_secret}
    return SalesforceClient.from_env({"SF_LOGIN_URL": emulator.url, **login})


def test_the_environment_may_name_the_org(
    org: Emulator, import_shape: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`salesforce://` is the org that a sync would read; only what was wanted is asked for, and names are taken in any case."""
    monkeypatch.setenv("SF_LOGIN_URL", org.url)
    assert import_shape("--from", "salesforce://", "--objects", "account, Invoice__c").exit_code == 0
    assert files(tmp_path / "schemas") == ["Account.yaml", "Invoice__c.yaml"]
    asked = [call.path for call in org.calls if call.path.endswith("/describe")]
    assert len(asked) == 2


def test_a_session_is_not_taken_elsewhere(import_shape: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session id is good for one org: it is neither sent to another address nor imported from in its place."""
    monkeypatch.setenv("SF_ACCESS_TOKEN", "00D000000000001!x")
    monkeypatch.setenv("SF_INSTANCE_URL", "https://one.my.salesforce.com")
    done = import_shape("--from", "salesforce://two.my.salesforce.com")
    assert done.exit_code == 2
    assert "https://one.my.salesforce.com" in done.stderr


def test_recorded_answers_will_do(recorded: Path, import_shape: Import, tmp_path: Path) -> None:
    """A folder of describe answers becomes a folder of schema files; the replaced object and the next command are named."""
    done = import_shape("--from", str(recorded))
    assert done.exit_code == 0, done.output
    assert files(tmp_path / "schemas") == ["Account.yaml", "Invoice_Line__c.yaml", "Invoice__c.yaml"]
    assert "3 schema files" in done.stdout
    assert "brings along of: Account" in done.stdout
    assert f"halocline emulator --schema {tmp_path / 'schemas'}" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "nowhere"], "neither a folder"),
        (["--from", "{recorded}", "--objects", "Acount"], "Account"),
        (["--from", "{empty}"], "describe"),
        (["--from", "{broken}"], "broken.json"),
        (["--from", "{odd}"], "no describe"),
    ],
)
def test_what_cannot_be_imported_is_said(
    recorded: Path, import_shape: Import, tmp_path: Path, words: list[str], told: str
) -> None:
    """Exit code 2, a reason, and no schema file."""
    for name, text in (("empty", None), ("broken", "{"), ("odd", '{"name": "A", "fields": [{}]}')):
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / f"{name}.json").write_text(text, encoding="utf-8")
    places = {name: str(tmp_path / name) for name in ("recorded", "empty", "broken", "odd")}
    done = import_shape(*(word.format(**places) for word in words))
    assert (done.exit_code, told in done.stderr) == (2, True), done.output
    assert not (tmp_path / "schemas").exists()


def test_an_object_that_the_org_does_not_have_is_refused(org: Emulator, import_shape: Import) -> None:
    """With a near name, and before anything is written."""
    done = import_shape("--from", org.url, "--objects", "Account,Invoice")
    assert done.exit_code == 2
    assert "Invoice__c" in done.stderr


def test_an_object_that_is_listed_and_not_described_is_left_out(
    org: Emulator, import_shape: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is noted where everything was wanted, and an error where it was."""
    describe = SalesforceClient.describe

    def described(client: SalesforceClient, name: str) -> dict[str, Any]:
        return describe(client, "NoSuchThing" if name == "Task" else name)

    monkeypatch.setattr(SalesforceClient, "describe", described)
    done = import_shape("--from", org.url, "--json")
    assert done.exit_code == 0, done.output
    [note] = json.loads(done.stdout)["notes"]
    assert note.startswith("Task: ")
    assert "Task.yaml" not in files(tmp_path / "schemas")
    assert import_shape("--from", org.url, "--objects", "Task").exit_code == 2


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Runs emulators no longer than it takes to count their records; the counts of each run."""
    counts: list[dict[str, int]] = []

    def run(config: EmulatorConfig, *, on_bound: Callable[[Emulator], None], on_ready: Callable[[Emulator], None]) -> None:
        made = Emulator(config)
        on_bound(made)
        with made as emulator:
            on_ready(emulator)
            counts.append({one.name: emulator.store.count(one) for one in emulator.store.catalog})

    monkeypatch.setattr(server, "run_forever", run)
    return counts


def run_emulator(*words: str) -> None:
    done = CliRunner().invoke(app, ["emulator", "--port", "0", "--no-https", "--no-proxy", *words])
    assert done.exit_code == 0, done.output


def test_an_imported_org_starts_with_records(
    recorded: Path, import_shape: Import, tmp_path: Path, started: list[dict[str, int]]
) -> None:
    """As many as the schema files ask for, or `--records`, or what `--seed` says of an object; none twice in a kept store."""
    assert import_shape("--from", str(recorded), "--records", "7").exit_code == 0
    schemas = tmp_path / "schemas"
    assert yaml.safe_load((schemas / "Invoice__c.yaml").read_text(encoding="utf-8"))["records"] == 7
    run_emulator("--schema", str(schemas))
    run_emulator("--schema", str(schemas), "--records", "3", "--seed", "account=5")
    run_emulator("--schema", str(schemas), "--records", "0")
    for _ in range(2):
        run_emulator("--schema", str(schemas), "--store", str(tmp_path / "org.sqlite"))
    names = ("Account", "Invoice__c", "Invoice_Line__c", "Product2")
    found: list[Any] = [tuple(counts[name] for name in names) for counts in started]
    assert found == [(7, 7, 7, 0), (5, 3, 3, 0), (0, 0, 0, 0), (7, 7, 7, 0), (7, 7, 7, 0)]
