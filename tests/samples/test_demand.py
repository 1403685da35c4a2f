"""Laws of the document on the demand pipeline: its project is here, its commands run, its tests exist and pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline.compat.demand.settings import Settings
from halocline.testing.aws import FakeAWS
from tests.connectors.postgres.server import Place, Server
from tests.samples.documents import FOLDER, Block, Document
from tests.samples.postgres import _ADMIN_WORD
from tests.system.nursery import Nursery

pytestmark = pytest.mark.system

DEMAND = Document("demand.md", "demand")
PROJECT = FOLDER.parent.parent / "examples" / "demand_pipeline"
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)  # some end with a blank
NAMED = (
    "test_main_function_successfully_processes_data",
    "test_main_with_empty_scans",
    "test_row_count_consistency_scenarios",
)
TABLES = {
    "documents": "documentId",
    "documents-metadata": "documentId",
    "templates": "templateId",
    "documents-audit": "auditRecordId",
}


def ran(*words: str, folder: Path = PROJECT, **more: str) -> subprocess.CompletedProcess[str]:
    """A command in the project's folder, with this Python."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent.parent / "src"), **more}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200)


# ---- the lists are whole


def test_the_quotes_are_the_document(recorded_data: Path) -> None:
    """Every code block of the document is quoted here, letter by letter and in order."""
    document = recorded_data.parent / "spec" / "4-demand-pipeline.md"
    assert document.is_file(), f"HALOCLINE_TEST_DATA has no document beside it: {document}"
    found = [Block(one["language"], one["text"]) for one in FENCE.finditer(document.read_text(encoding="utf-8"))]
    assert list(DEMAND.blocks().values()) == found


def test_every_block_is_in_a_list() -> None:
    """In one of them, with a reason."""
    run, not_run = DEMAND.edits("what is run"), DEMAND.edits("not run")
    assert sorted(row[0] for row in (*run, *not_run)) == sorted(DEMAND.blocks())
    assert all(row[-1] for row in (*run, *not_run, *DEMAND.edits("not there")))


def test_the_project_has_its_files() -> None:
    """Those of the document's tree, but for the listed ones."""
    tree = re.findall(r"^(│\s+)?[├└]── (\S+)", DEMAND.blocks()["structure"].text, re.MULTILINE)
    named = {f"builders/{name}" if inner else name for inner, name in tree}
    left_out = {row[0] for row in DEMAND.edits("not there")}
    made = {"builders/__pycache__"}  # by Python, where it has run
    assert {name for name in named - made if not (PROJECT / name).exists()} == left_out - made
    assert {"main.py", "utils.py", "builders/case_builder.py", "builders/audit_builder.py"} <= named - left_out


# ---- the commands run


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Iterator[Place]:
    with server.place(tmp_path) as made:
        made.run((PROJECT / "schema.sql").read_text())
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, for a `.env` of its own."""
    folder = tmp_path / "project"
    for path in PROJECT.rglob("*.py"):
        target = folder / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return folder


@pytest.fixture
def tables(aws: FakeAWS) -> Any:
    """The pipeline's tables, with an item or two each."""
    resource = boto3.resource("dynamodb", region_name="us-east-1")
    for name, key in TABLES.items():
        resource.create_table(
            TableName=f"exchange-dev-{name}",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    for number in range(20):
        resource.Table("exchange-dev-documents").put_item(Item={"documentId": f"d{number}", "version": number})
    resource.Table("exchange-dev-documents-metadata").put_item(Item={"documentId": "d1", "documentType": "pdf"})
    resource.Table("exchange-dev-templates").put_item(Item={"templateId": "t", "templateName": "T", "version": 1})
    return resource


def counts(place: Place) -> list[int]:
    return [place.rows(f"SELECT count(*) FROM raw.{name}")[0][0] for name in ("cases", "metadata", "templates", "audit")]


def test_the_documents_settings_run_the_pipeline(tables: Any, place: Place, project: Path, aws: FakeAWS, nursed: Nursery) -> None:
    """The documented `.env` as it stands, but for what stands for a value, and `python main.py`; run again it need not start."""
    text = DEMAND.blocks()["environment"].text
    for old, new in {"your_pg_host": str(place.server.folder), "your_pg_password": _ADMIN_WORD}.items():
        assert old in text
        text = text.replace(old, new)
    (project / ".env").write_text(text + f"PG_DATABASE={place.database}\n")
    place.run("INSERT INTO raw.audit VALUES ('old', 'old')")
    done = ran("main.py", folder=project)
    assert done.returncode == 0, done.stderr
    assert counts(place) == [20, 1, 1, 0]
    assert "raw.cases: 20 read, 20 written, 0 rejected" in done.stderr
    tables.Table("exchange-dev-documents").put_item(Item={"documentId": "odd"})
    again = nursed.run(script="main.py", env=os.environ, cwd=project)
    assert (again.code, counts(place)) == (3, [20, 1, 1, 0])
    assert "KeyError: 'version'" in again.err
    aws.faults.add("refuse", operation="Scan", resource="documents-metadata")
    tables.Table("exchange-dev-documents").delete_item(Key={"documentId": "d1"})
    again = nursed.run(script="main.py", env=os.environ, cwd=project)
    assert (again.code, counts(place)) == (2, [20, 1, 1, 0])
    assert "Scanning the table exchange-dev-documents-metadata" in again.err
    assert "Traceback" not in again.err


def test_the_documented_variables_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the document's example, comments behind values left out."""
    monkeypatch.chdir(tmp_path)
    for name in ("REGION", "LOCAL_MODE", "PG_SECRET_ARN", "PG_HOST", "PG_PASSWORD", "PG_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    Path(".env").write_text(DEMAND.blocks()["environment"].text)
    settings = Settings.now()
    assert settings.in_file == {
        "PG_SECRET_ARN": "your_pg_secret_arn",
        "REGION": "us-east-1",
        "LOCAL_MODE": "true",
        "PG_HOST": "your_pg_host",
        "PG_PASSWORD": "your_pg_password",
        "PG_ENDPOINT": "your_pg_endpoint",
    }
    assert settings.local
    assert settings.region == "us-east-1"


def test_the_projects_tests_pass(request: pytest.FixtureRequest, server: Server) -> None:
    """`pytest -v`, on moto, on our AWS for tests and on a real PostgreSQL; those that the document names are among them.

    A short run asks moto for one of its scenarios only.
    """
    plain = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist")
    some = () if request.config.getoption("--long") else ("-k", "not moto or [moto-one]")
    told = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TEST_POSTGRES": str(server.running.folder)}
    done = ran(*plain, "-v", *some, **told)
    assert done.returncode == 0, done.stdout[-3_000:]
    passed = [line for line in done.stdout.splitlines() if "PASSED" in line]
    assert {name for name in NAMED if any(name in line for line in passed)} == set(NAMED)
    assert {"[moto", "[FakeAWS"} == {word for word in ("[moto", "[FakeAWS") if any(word in line for line in passed)}
    assert not [line for line in done.stdout.splitlines() if "SKIPPED" in line]
    assert DEMAND.blocks()["test-function"].text.split() == ["pytest", f"test_main.py::{NAMED[2]}"]


def test_the_pipeline_is_a_flow_too(tables: Any, place: Place, tmp_path: Path, nursed: Nursery) -> None:
    """`halocline run demand` in the project's folder: the same tables by one commit, views as before; no sample adopts rows."""
    assert not re.search(r"^[^#]*adopt", (PROJECT / "halocline.yaml").read_text(), re.MULTILINE)
    told = {**os.environ, "WAREHOUSE": place.uri(), "HALOCLINE_HOME": str(tmp_path / "home")}
    run = ("run", "demand", "--json")
    done = nursed.run(*run, env=told, cwd=PROJECT)
    assert done.code == 0, done.out + done.err
    assert counts(place) == [20, 1, 1, 0]
    for number in range(20):
        tables.Table("exchange-dev-documents").delete_item(Key={"documentId": f"d{number}"})
    tables.Table("exchange-dev-templates").put_item(Item={"templateId": "odd", "templateName": "T"})
    done = nursed.run(*run, env=told, cwd=PROJECT)
    assert done.code != 0
    assert counts(place) == [20, 1, 1, 0]  # one of two templates is more than a tenth, and no table changes
    tables.Table("exchange-dev-templates").delete_item(Key={"templateId": "odd"})
    done = nursed.run(*run, env=told, cwd=PROJECT)
    assert done.code == 0, done.out + done.err
    assert counts(place) == [0, 1, 1, 0]
    assert place.rows("SELECT count(*) FROM curated.open_cases") == [(0,)]


LAMBDA = """
import json, os, sys
sys.path[:0] = sys.argv[1:]
import main
from halocline.aws_lambda import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 60_000

os.chdir(sys.argv[1])
print(json.dumps(handler({"flow": "demand"}, Context())))
print(json.dumps(main.handler({}, None)))
"""
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["function", "layer"])
def test_the_pipeline_runs_in_lambda(tables: Any, place: Place, tmp_path: Path, kind: str) -> None:
    """From the zip that `make lambda` makes, or from its layer beside the project, in a Python that has boto3 alone."""
    made, task = tmp_path / "made.zip", tmp_path / "task"
    words = ["--installed", "--no-bytecode", "--level", "0", "--out", str(made), "--extra", "postgres"]
    if kind == "function":
        words += ["--also", "main.py", "utils.py", "--config", str(PROJECT / "halocline.yaml")]
    else:
        words += ["--layer"]
    done = ran(str(FOLDER.parent.parent / "tools" / "make_lambda.py"), *words)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(made) as found:
        found.extractall(task)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in RUNTIME:
        (runtime / name).symlink_to(Path(boto3.__file__).parent.parent / name)
    places = [str(task)] if kind == "function" else [str(PROJECT), str(task / "python")]
    told = {name: value for name, value in os.environ.items() if name.startswith("AWS_")} | {
        "LOCAL_MODE": "true",
        "PG_HOST": str(place.server.folder),
        "PG_PASSWORD": _ADMIN_WORD,
        "PG_DATABASE": place.database,
        "WAREHOUSE": place.uri(),
        "HALOCLINE_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-I", "-S", "-c", LAMBDA, *places, str(runtime)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path, env=told)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-2])["done"]
    assert json.loads(done.stdout.splitlines()[-1])["tables"]["raw.cases"] == {"read": 20, "written": 20, "rejected": 0}
    assert counts(place) == [20, 1, 1, 0]
