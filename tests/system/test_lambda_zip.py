"""Laws of the Lambda zip: it is all that the function needs, it is the same for the same input, and a cold start loads little."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.push_desk import push_org
from tests.test_repository import DRIVERS, ROOT, modules_after

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

FLOWS = """
connections:
  org: {kind: salesforce, login_url: env:SF_LOGIN_URL, client_id: env:SF_CLIENT_ID, client_secret: env:SF_CLIENT_SECRET}
flows:
  accounts: {kind: push, file: data/some.csv, mapping: maps/m.yaml, to: org, object: Account, key: Ext__c}
"""
EVENT = {"flow": "accounts"}
PROGRAM = """
import json, sys
task, event = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, task)
from halocline.aws_lambda import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 60_000

answer = handler(event, Context())
files = {name: str(getattr(one, "__file__", None) or "") for name, one in sys.modules.items()}
print(json.dumps({"answer": answer, "files": files}))
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


def tool() -> ModuleType:
    """The program behind `make lambda`."""
    spec = importlib.util.spec_from_file_location("make_lambda", ROOT / "tools" / "make_lambda.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")  # where a program finds what lies beside it
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lambda makes of a zip that holds a flow: files in a folder."""
    folder = tmp_path_factory.mktemp("lambda")
    for name, text in {"data/some.csv": "key,name\na,A\n", "maps/m.yaml": "mapping: {key: Ext__c, name: Name}\n"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    (folder / "halocline.yaml").write_text(FLOWS)
    made = folder / "made.zip"
    words = ["--installed", "--no-bytecode", "--level", "0", "--config", str(folder / "halocline.yaml"), "--out", str(made)]
    assert tool().main(words) == 0
    with zipfile.ZipFile(made) as found:
        found.extractall(folder / "task")
    made.unlink()
    return folder / "task"


def test_the_handler_runs_with_the_zip_alone(task: Path, emulator: Emulator, tmp_path: Path) -> None:
    """A fresh interpreter without this environment's packages handles an event; what it loads is the zip's or Python's own."""
    config = emulator.config
    login = {"SF_LOGIN_URL": emulator.url, "SF_CLIENT_ID": config.consumer_key, "SF_CLIENT_SECRET": config.consumer_secret}
    env = {**login, "HALOCLINE_HOME": str(tmp_path / "home"), "AWS_LAMBDA_FUNCTION_NAME": "f", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(task), json.dumps(EVENT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=task, env=env)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["answer"]["results"][0]["written"] == 1
    assert emulator.query("SELECT Name FROM Account WHERE Ext__c = 'a'") == [{"Name": "A"}]
    strange = [name for name, file in told["files"].items() if "site-packages" in file and not file.startswith(str(task))]
    assert strange == []
    loaded = {name.partition(".")[0] for name in told["files"]}
    assert loaded & {"boto3", "botocore", "duckdb", "psycopg", "pandas", "typer", "rich", "pytest", "numpy"} == set()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../some.csv", "is not below the folder of halocline.yaml"),
        ("/etc/hostname", "is not below the folder of halocline.yaml"),
        ("link.csv", "is not below the folder of halocline.yaml"),
        ("none.csv", "there is no such file"),
        ("pydantic/x.csv", "where the function has a file of its own"),
        ("halocline.yaml", "where the function has a file of its own"),
    ],
)
def test_a_file_that_the_function_would_lack_is_refused(tmp_path: Path, path: str, says: str) -> None:
    """Now, and not when its first event comes."""
    home, folder = tmp_path / "home", tmp_path / "task"
    for made in (home / "pydantic", folder / "pydantic"):
        made.mkdir(parents=True)
        (made / "x.csv").write_text("Ext__c\n")
    (tmp_path / "some.csv").write_text("Ext__c\n")
    (home / "link.csv").symlink_to(tmp_path / "some.csv")
    (home / "halocline.yaml").write_text(f"flows: {{a: {{kind: push, file: {path}, object: Account, key: Ext__c}}}}")
    with pytest.raises(SystemExit, match=says):
        tool()._configure(folder, home / "halocline.yaml")


def test_a_configuration_with_a_mistake_is_not_packed(tmp_path: Path) -> None:
    """It is told with its line."""
    (tmp_path / "halocline.yaml").write_text("flows: {a: {kind: psh}}")
    with pytest.raises(SystemExit, match="line 1: the flow 'a' has an unknown kind"):
        tool()._configure(tmp_path, tmp_path / "halocline.yaml")


def test_what_a_flow_builds_with_is_packed(tmp_path: Path) -> None:
    """The package that a builder is in, or its module, and what is named besides; a builder that is not there is refused."""
    home, folder = tmp_path / "home", tmp_path / "task"
    for name in ("builders/__init__.py", "builders/a.py", "builders/deep/b.py", "builders/notes.txt", "alone.py", "main.py"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("")
    folder.mkdir()
    flow = "flows: {{a: {{kind: tables, from: 'dynamodb://', to: 'duckdb:///x.duckdb', tables: [{}]}}}}"
    tables = ", ".join(
        f"{{from: t{n}, build: '{build}'}}" for n, build in enumerate(("builders.a:f", "builders.deep.b:g", "alone:f"))
    )
    (home / "halocline.yaml").write_text(flow.format(tables))
    tool()._configure(folder, home / "halocline.yaml", also=[str(home / "main.py"), "builders"])
    packed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert packed == {"halocline.yaml", "builders/__init__.py", "builders/a.py", "builders/deep/b.py", "alone.py", "main.py"}
    (home / "halocline.yaml").write_text(flow.format("{from: t, build: 'other:f'}"))
    (tmp_path / "again").mkdir()
    with pytest.raises(SystemExit, match=r"the flow a names other\.py, and there is no such file"):
        tool()._configure(tmp_path / "again", home / "halocline.yaml")
    (home / "halocline.yaml").write_text(flow.format(tables))
    with pytest.raises(SystemExit, match=r"--also names \.\./x\.py, which is not below"):
        tool()._configure(tmp_path / "again", home / "halocline.yaml", also=["../x.py"])


def test_functions_that_a_push_names_are_packed(tmp_path: Path) -> None:
    """Those of its rows, of its callbacks, of a condition, and of transforms in the mapping's own file."""
    home, folder = tmp_path / "home", tmp_path / "packed"
    home.mkdir()
    folder.mkdir()
    for name in ("leads", "cleaning", "rating", "told"):
        (home / f"{name}.py").touch()
    (home / "map.yaml").write_text("mapping: {a: {target: A, transform: [strip, 'cleaning:phone']}}")
    flow = "rows: 'leads:today', mapping: map.yaml, conditions: {R: 'rating:of'}, callbacks: {on_record_error: 'told:refused'}"
    (home / "halocline.yaml").write_text(f"flows: {{f: {{kind: push, object: Lead, mode: insert, {flow}}}}}")
    tool()._configure(folder, home / "halocline.yaml")
    wanted = ["cleaning.py", "halocline.yaml", "leads.py", "map.yaml", "rating.py", "told.py"]
    assert sorted(path.name for path in folder.iterdir()) == wanted
    (home / "told.py").unlink()
    (tmp_path / "again").mkdir()
    with pytest.raises(SystemExit, match=r"names told\.py, and there is no such file"):
        tool()._configure(tmp_path / "again", home / "halocline.yaml")


def test_a_layer_is_below_python(tmp_path: Path) -> None:
    """Where Lambda looks for it; it has no configuration of its own.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    """
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.py").write_text("")
    tool().write_zip(tmp_path / "made", tmp_path / "layer.zip", below="python/")
    assert zipfile.ZipFile(tmp_path / "layer.zip").namelist() == ["python/a.py"]
    with pytest.raises(SystemExit, match="a layer holds no configuration"):
        tool().main(["--layer", "--config", "halocline.yaml"])
    with pytest.raises(SystemExit, match="there is none: --config"):
        tool().main(["--also", "main.py"])


def test_the_zip_holds_no_test_and_no_emulator(task: Path) -> None:
    """Nor what Lambda's runtime has: boto3 is there."""
    names = {path.name for path in task.iterdir()}
    assert {"halocline", "halocline.yaml", "pyarrow", "pydantic", "httpx2"} <= names
    assert names & {"boto3", "botocore", "pytest", "moto"} == set()
    assert not (task / "halocline" / "emulator").exists()
    assert [path for path in task.rglob("tests") if path.is_dir()] == []


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    """Whenever they were written, and in whatever order."""
    made = []
    for number, names in enumerate((("b.py", "a/c.py"), ("a/c.py", "b.py"))):
        folder = tmp_path / str(number)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"# {name}\n")
            os.utime(folder / name, (1e9 + number, 1e9))
        tool().write_zip(folder, tmp_path / f"{number}.zip")
        made.append((tmp_path / f"{number}.zip").read_bytes())
    assert made[0] == made[1]


# ---- cold start


def test_loading_the_function_loads_no_driver() -> None:
    """Python's own modules and a few of ours: whatever a flow needs comes when its event does."""
    assert modules_after("import halocline.aws_lambda") & (DRIVERS | {"pandas", "numpy"}) == set()


def test_reading_a_configuration_loads_nothing_of_aws_and_no_database(tmp_path: Path) -> None:
    """PyYAML and pydantic read it; a connector comes with its flow, boto3 with the first bucket or secret."""
    path = tmp_path / "halocline.yaml"
    path.write_text("flows: {a: {kind: sync, to: 'postgresql://h/d', all: true}}")
    found = modules_after(f"from halocline.flows.reading import read\nfrom pathlib import Path\nread(Path({str(path)!r}))")
    assert found & (DRIVERS | {"pandas", "numpy"}) == {"pydantic", "yaml"}
